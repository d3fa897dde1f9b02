//! Makes arrays from pictures: `X.npy`, `y.npy` and `classes.txt` from a folder of pictures, and the pixels of one
//! picture.
//!
//! [`picture`] reads one picture. [`container`] copies arrays out of other files. For pictures, [`list`] finds them and
//! their classes, [`classes`] checks those, [`arrays`] writes the two files entry by entry, [`import`] combines these
//! and resumes after a stop ([`state`]), [`progress`] shows how far it is, [`told`] prints the result, and [`preview`]
//! makes a page with some pictures. Start at [`run`].

mod arrays;
mod classes;
mod container;
mod import;
mod list;
pub mod picture;
mod preview;
mod progress;
mod request;
mod state;
mod told;

pub use import::run;
pub use request::Request;
