"""What memories have to do with each other, and with what is answered from them."""
