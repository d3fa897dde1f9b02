//! Pictures that show themselves.
//!
//! Every function here returns a [`Figure`]: a PNG with its alternative text, which shows itself as the last value of
//! a cell.

pub mod figure;

pub use figure::Figure;
