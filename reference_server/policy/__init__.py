"""Policy: what may leave this host, and the plugins that have a say in it, in admission and in placement."""
