"""Code generation: from a scheduled graph to kernel sources and a launch table."""
