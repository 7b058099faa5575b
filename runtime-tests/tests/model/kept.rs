//! Programs that have failed once, made smaller.
