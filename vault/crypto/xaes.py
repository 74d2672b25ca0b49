"""XAES-256-GCM (c2sp.org/XAES-256-GCM): AES-256-GCM with a 192-bit nonce, safe to draw at random.

Owns the algorithm and nothing else. It neither commits to its key nor knows where a value belongs:
both are `vault.crypto.aead`'s part.

The subkey is SP 800-108r1 in counter mode over AES-CMAC: with one-block messages a CMAC is a single
AES call, so both halves come from one call over two blocks, and `K1` is computed once a key.
"""

import threading
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from vault.errors import TamperedError

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 24
TAG_BYTES: Final = 16
_HALF: Final = 12
_BLOCK_BITS: Final = 128
# M1 and M2 of the specification without their nonce: counter, label "X", zero.
_M1: Final = 0x0001_5800 << 96
_M2: Final = 0x0002_5800 << 96


class Xaes256Gcm:
    """One key of XAES-256-GCM; may be shared by threads.

    Raises:
        ValueError: the key is not 32 bytes.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"expected a key of {KEY_BYTES} bytes, got {len(key)}")
        # Single blocks of AES are the primitive that CMAC is made of; no message is encrypted in ECB.
        self._block = Cipher(AES(key), ECB()).encryptor()  # noqa: S305
        self._one_caller = threading.Lock()
        last = int.from_bytes(self._block.update(bytes(16)))
        doubled = (last << 1) & ((1 << _BLOCK_BITS) - 1)
        self._k1 = doubled ^ 0b10000111 if last >> (_BLOCK_BITS - 1) else doubled
        self._pad = (_M1 ^ self._k1) << _BLOCK_BITS | (_M2 ^ self._k1)

    def derived_key(self, nonce: bytes) -> bytes:
        """Return the AES-256-GCM key for a nonce (`Kx` of the specification).

        Raises:
            ValueError: the nonce is not 24 bytes.
        """
        if len(nonce) != NONCE_BYTES:
            raise ValueError(f"expected a nonce of {NONCE_BYTES} bytes, got {len(nonce)}")
        half = int.from_bytes(nonce[:_HALF])
        blocks = (half << _BLOCK_BITS | half) ^ self._pad
        with self._one_caller:
            return self._block.update(blocks.to_bytes(KEY_BYTES))

    def encrypt(self, nonce: bytes, plaintext: bytes, associated_data: bytes) -> bytes:
        """Return ciphertext and tag."""
        return AESGCM(self.derived_key(nonce)).encrypt(nonce[_HALF:], plaintext, associated_data)

    def decrypt(self, nonce: bytes, ciphertext: bytes, associated_data: bytes) -> bytes:
        """Return the plaintext.

        Raises:
            TamperedError: nonce, ciphertext, tag or associated data is not what was sealed.
        """
        try:
            return AESGCM(self.derived_key(nonce)).decrypt(nonce[_HALF:], ciphertext, associated_data)
        except InvalidTag:
            raise TamperedError("a sealed value is not what was written") from None
