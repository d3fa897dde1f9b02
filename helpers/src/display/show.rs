//! Values that a cell can show, and cells that end in a call that may fail.

use std::fmt;

use crate::text::{clean_sentence, escape_sentence};

/// A value that can be shown at the end of a cell or in a [`LiveDisplay`](super::LiveDisplay): as HTML and as text.
pub trait Show {
    /// For the page; all texts in it are escaped.
    fn html(&self) -> String;

    /// For a terminal and for logs.
    fn text(&self) -> String;
}

/// A line of text.
impl Show for str {
    fn html(&self) -> String {
        format!("<div>{}</div>", escape_sentence(self))
    }

    fn text(&self) -> String {
        clean_sentence(self)
    }
}

impl Show for String {
    fn html(&self) -> String {
        self.as_str().html()
    }

    fn text(&self) -> String {
        self.as_str().text()
    }
}

/// Implements [`Show`] for types with `to_html` and `to_text`.
macro_rules! shows_its_html {
    ($($type:ty),+ $(,)?) => {$(
        impl $crate::display::Show for $type {
            fn html(&self) -> String {
                self.to_html()
            }

            fn text(&self) -> String {
                self.to_text()
            }
        }
    )+};
}
pub(crate) use shows_its_html;

/// What evcxr prints if `?` ends a cell; it then forgets the variables that the cell declared.
const ENDED: &str = "EVCXR_ERROR_OCCURRED";

/// For a cell that ends in a call that may fail: shows the value, or ends the cell with the error, as `?` does. The
/// value `()` of a loop shows nothing.
///
/// evcxr calls the method `evcxr_display` of a cell's last expression, also if it comes from a trait; this trait is in
/// the prelude only for that.
pub trait ShowResult {
    /// Shows the value as the result of a cell.
    fn evcxr_display(&self);
}

impl ShowResult for () {
    fn evcxr_display(&self) {}
}

impl<T: Show, E: fmt::Display> ShowResult for Result<T, E> {
    fn evcxr_display(&self) {
        match self {
            Ok(value) => super::show(&value.html(), &value.text()),
            Err(error) => end_with(error),
        }
    }
}

impl<E: fmt::Display> ShowResult for Result<(), E> {
    fn evcxr_display(&self) {
        if let Err(error) = self {
            end_with(error);
        }
    }
}

/// Ends the cell like `?`.
fn end_with(error: &impl fmt::Display) {
    eprintln!("{error}");
    println!("{ENDED}");
}
