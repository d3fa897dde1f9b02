//! What can be shown in a cell, and a cell that ends in a call that may fail.

use std::fmt;

use crate::text::{clean_sentence, escape_sentence};

/// What a cell can show, by itself or in a [`LiveDisplay`](super::LiveDisplay): as HTML and as text.
pub trait Show {
    /// For the page; every text in it is escaped.
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

/// Gives types with `to_html` and `to_text` the trait [`Show`].
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

/// What evcxr prints when `?` has ended a cell; it then forgets the variables that the cell declared.
const ENDED: &str = "EVCXR_ERROR_OCCURRED";

/// For the end of a cell: a call that may fail shows what it gives, or ends the cell with its error, as if `?` stood
/// behind it. The value `()` of a loop shows nothing.
///
/// evcxr calls the method `evcxr_display` of a cell's last expression, whatever it comes from; this trait stands in the
/// prelude for that alone.
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

/// Ends the cell as `?` does.
fn end_with(error: &impl fmt::Display) {
    eprintln!("{error}");
    println!("{ENDED}");
}
