"""A small OpenID Connect provider on a socket of this machine, that can be told to do everything wrong."""
