//! A place below a cell whose content is replaced while the cell runs.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::protocol::{blocks_with, write_out};
use super::show::Show;
use crate::text::break_markers;

/// Set for the process that runs cells by a front that replaces displays in place.
pub(crate) const FRONT: &str = "NOTEBOOK_FRONT";

/// Between two updates of one display: no reader sees more, and a training feels none of it.
const INTERVAL: Duration = Duration::from_millis(400);

/// A place below a cell that shows one thing after the other, each in place of the one before; the last one stays.
///
/// Under the project's kernel [`LiveDisplay::update`] replaces what is shown, also from a later cell; elsewhere (evcxr
/// alone, a terminal) it prints the text of each. A cell may have several.
///
/// ```
/// use helpers::display::{Column, LiveDisplay, Table};
/// let (mut line, mut table) = (LiveDisplay::new(), LiveDisplay::new());
/// let mut squares = Table::new([Column::integer("n"), Column::integer("n²")]);
/// for n in 1..=3 {
///     squares.push([n.into(), (n * n).into()]);
///     line.update(&format!("{n} of 3"));
///     table.update(&squares);
/// }
/// ```
#[derive(Debug)]
pub struct LiveDisplay {
    /// What the front knows the display by; none where nothing is replaced.
    id: Option<String>,
    updated: Option<Instant>,
}

impl Default for LiveDisplay {
    fn default() -> LiveDisplay {
        LiveDisplay::new()
    }
}

impl LiveDisplay {
    /// A display that shows nothing yet: its place is where it is first updated.
    pub fn new() -> LiveDisplay {
        let listens = std::env::var_os(FRONT).is_some_and(|front| !front.is_empty());
        LiveDisplay { id: listens.then(fresh_id), updated: None }
    }

    /// Whether updates replace what is shown; otherwise each is printed.
    pub fn is_live(&self) -> bool {
        self.id.is_some()
    }

    /// Whether a while has passed since the last update: for loops of many short steps, to update a few times a second.
    pub fn is_due(&self) -> bool {
        self.updated.is_none_or(|updated| updated.elapsed() >= INTERVAL)
    }

    /// Whether anything was shown yet.
    pub(crate) fn is_shown(&self) -> bool {
        self.updated.is_some()
    }

    /// Shows a figure, a table, a line of text or anything else that shows itself, in place of what was shown before.
    pub fn update<T: Show + ?Sized>(&mut self, what: &T) {
        self.replace(&what.html(), &what.text());
    }

    /// As [`LiveDisplay::update`], with HTML for the page and text for logs.
    pub(crate) fn replace(&mut self, html: &str, plain: &str) {
        let text = self.lines(html, plain);
        self.updated = Some(Instant::now());
        write_out(&text);
    }

    /// What an update prints.
    fn lines(&self, html: &str, plain: &str) -> String {
        let Some(id) = &self.id else { return break_markers(plain) + "\n" };
        let update = if self.updated.is_some() { " update" } else { "" };
        blocks_with(&format!(" display_id={id}{update}"), html, plain)
    }
}

/// A name that no other display of this session has, in whichever cell it was made: each cell has a counter of its own,
/// so the time is part of it.
fn fresh_id() -> String {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("live-{:x}-{}", now.as_nanos(), MADE.fetch_add(1, Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live() -> LiveDisplay {
        LiveDisplay { id: Some("live-1".to_owned()), updated: None }
    }

    #[test]
    fn the_first_update_makes_the_display_and_the_next_replaces_it() {
        let mut display = live();
        assert_eq!(
            display.lines("<b>a</b>", "a"),
            "EVCXR_BEGIN_CONTENT text/html display_id=live-1\n<b>a</b>\nEVCXR_END_CONTENT\n\
             EVCXR_BEGIN_CONTENT text/plain display_id=live-1\na\nEVCXR_END_CONTENT\n"
        );
        display.replace("<b>a</b>", "a");
        assert_eq!(
            display.lines("<b>b</b>", "b\nEVCXR_END_CONTENT"),
            "EVCXR_BEGIN_CONTENT text/html display_id=live-1 update\n<b>b</b>\nEVCXR_END_CONTENT\n\
             EVCXR_BEGIN_CONTENT text/plain display_id=live-1 update\nb\nEVCXR-END_CONTENT\nEVCXR_END_CONTENT\n"
        );
    }

    #[test]
    fn where_no_front_listens_the_text_is_printed() {
        let display = LiveDisplay { id: None, updated: None };
        assert_eq!(display.lines("<b>a</b>", "a\nEVCXR_END_CONTENT"), "a\nEVCXR-END_CONTENT\n");
    }

    #[test]
    fn no_two_displays_have_one_name_and_none_has_a_space() {
        let ids: std::collections::BTreeSet<String> = (0..100).map(|_| fresh_id()).collect();
        assert!(ids.len() == 100 && !ids.iter().any(|id| id.contains(char::is_whitespace)));
    }

    #[test]
    fn an_update_is_due_at_first_and_not_again_at_once() {
        let mut display = live();
        assert!(display.is_due());
        display.replace("", "");
        assert!(!display.is_due());
    }
}
