//! Pictures as arrays: `X.npy`, `y.npy` and `classes.txt` from a folder of pictures, and one picture as pixels.
//!
//! [`picture`] reads one. [`container`] takes arrays out of other files; for pictures [`list`] finds them and their classes,
//! [`arrays`] writes the two files as they grow, [`import`] puts them together and goes on where it was stopped,
//! [`preview`] shows what came of it. Start at [`run`].

mod arrays;
mod container;
mod import;
mod list;
pub mod picture;
mod preview;
mod request;

pub use import::run;
pub use request::Request;
