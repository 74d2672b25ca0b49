"""The edge: settings, assembly, HTTP and command line. Translates; decides and stores nothing."""
