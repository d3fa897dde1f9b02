//! A display below a cell whose content is replaced while the cell runs.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::protocol::{blocks_with, write_out};
use super::show::Show;
use crate::text::break_markers;

/// Environment variable of the process that runs cells; set by a front end that can replace displays.
pub(crate) const FRONT: &str = "NOTEBOOK_FRONT";

/// Shortest time between two updates of one display: more would not be seen, and this few do not slow down a training.
const INTERVAL: Duration = Duration::from_millis(400);

/// A display below a cell: each update replaces the content of the one before, and the last one stays.
///
/// Under the project's kernel [`LiveDisplay::update`] replaces the content, also from a later cell; elsewhere (evcxr
/// alone, a terminal) it prints the text of each update. A cell may have several displays.
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
    /// The front end's id of the display; none if it cannot replace displays.
    id: Option<String>,
    updated: Option<Instant>,
}

impl Default for LiveDisplay {
    fn default() -> LiveDisplay {
        LiveDisplay::new()
    }
}

impl LiveDisplay {
    /// An empty display: it appears where it is first updated.
    pub fn new() -> LiveDisplay {
        let listens = std::env::var_os(FRONT).is_some_and(|front| !front.is_empty());
        LiveDisplay { id: listens.then(fresh_id), updated: None }
    }

    /// Whether updates replace the content; otherwise each one is printed.
    pub fn is_live(&self) -> bool {
        self.id.is_some()
    }

    /// Whether it is time for an update: loops of many short steps should only update a few times per second.
    pub fn is_due(&self) -> bool {
        self.updated.is_none_or(|updated| updated.elapsed() >= INTERVAL)
    }

    /// Whether it already has content.
    pub(crate) fn is_shown(&self) -> bool {
        self.updated.is_some()
    }

    /// Replaces the content with a figure, a table, a line of text or any other value that can be shown.
    pub fn update<T: Show + ?Sized>(&mut self, what: &T) {
        self.replace(&what.html(), &what.text());
    }

    /// As [`LiveDisplay::update`], with HTML for the page and text for logs.
    pub(crate) fn replace(&mut self, html: &str, plain: &str) {
        let text = self.lines(html, plain);
        self.updated = Some(Instant::now());
        write_out(&text);
    }

    /// The lines that an update prints.
    fn lines(&self, html: &str, plain: &str) -> String {
        let Some(id) = &self.id else { return break_markers(plain) + "\n" };
        let update = if self.updated.is_some() { " update" } else { "" };
        blocks_with(&format!(" display_id={id}{update}"), html, plain)
    }
}

/// A unique id for this session: each cell has its own counter, so the id also contains the time.
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
