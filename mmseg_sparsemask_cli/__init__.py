"""What the command lines of the tools share; it loads no library, so that help is fast."""
