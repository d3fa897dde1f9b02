//! Pictures that show themselves.
