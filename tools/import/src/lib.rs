//! Makes arrays from pictures: `X.npy`, `y.npy` and `classes.txt` from a folder of pictures, and the pixels of one
//! picture.
//!
//! [`picture`] reads one picture. [`container`] copies arrays out of other files. For pictures, [`list`] finds them and
//! their classes, [`arrays`] writes the two files entry by entry, [`import`] combines these and resumes after a stop,
//! [`preview`] shows the result. Start at [`run`].

mod arrays;
mod container;
mod import;
mod list;
pub mod picture;
mod preview;
mod request;

pub use import::run;
pub use request::Request;
