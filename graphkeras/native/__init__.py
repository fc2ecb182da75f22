"""From the text of a kernel to object code, with LLVM alone."""
