//! A cell's output on its way to the clients: joined into few messages, replaced in place at a limited rate, and cut
//! where it would be too much for a page.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::mem;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::link::{Bundle, Stream};

/// Text is collected for this long before it is sent.
const COLLECT: Duration = Duration::from_millis(30);
/// Least time between two replacements of one display.
const REPLACE: Duration = Duration::from_millis(100);
/// More switches between the two streams than this within one message are not kept: each stream is joined.
const CHANGES: usize = 16;
/// Bytes of text that are sent as they come. Jupyter's server drops output above some megabytes a second.
const SHOWN: usize = 512 * 1024;
/// Bytes from the end that are sent when the cell ends, if it printed more.
const END: usize = 64 * 1024;

/// A longer line is broken: programs that join streams (nbclient's `coalesce_streams`) take time that grows with the square
/// of a line's length, 0.5 s for one of this length.
const LINE: usize = 32 * 1024;

/// A message to publish: its type and content.
pub(crate) type Published = (&'static str, Value);

/// The output of one cell, or of what it has left behind.
#[derive(Default)]
pub(crate) struct Output {
    text: Vec<(Stream, String)>,
    text_since: Option<Instant>,
    /// Bytes of the line that each stream is in the middle of.
    line: [usize; 2],
    shown: usize,
    held: Option<Held>,
    /// The last thing shown without a display id: the cell's value, unless more output follows.
    value: Option<Bundle>,
    live: HashMap<String, Live>,
    /// The end of what was written to standard error.
    pub(crate) last_error: String,
}

/// Text after the first [`SHOWN`] bytes; only its end is kept.
#[derive(Default)]
struct Held {
    bytes: usize,
    lines: usize,
    end: VecDeque<(Stream, String)>,
    end_bytes: usize,
}

struct Live {
    published: Instant,
    waiting: Option<Bundle>,
}

impl Output {
    pub(crate) fn push_text(&mut self, stream: Stream, text: &str, now: Instant) -> Vec<Published> {
        let mut published = self.publish_value();
        if stream == Stream::Stderr {
            self.last_error.push_str(text);
            keep_end(&mut self.last_error, 4096);
        }
        let text = &*with_breaks(text, &mut self.line[usize::from(stream == Stream::Stderr)]);
        if self.shown >= SHOWN {
            published.extend(self.hold(stream, text));
            return published;
        }
        match self.text.last_mut() {
            Some((last, before)) if *last == stream => before.push_str(text),
            _ => self.text.push((stream, text.to_owned())),
        }
        self.text_since.get_or_insert(now);
        published
    }

    /// Takes something to show; returns the messages that must be sent now.
    pub(crate) fn push_bundle(&mut self, bundle: Bundle, now: Instant) -> Vec<Published> {
        let mut published = self.flush_text();
        published.extend(self.publish_value());
        let Some(id) = bundle.id.clone() else {
            published.push(display(&bundle));
            return published;
        };
        match self.live.get_mut(&id) {
            Some(live) if bundle.update && now < live.published + REPLACE => {
                live.waiting = Some(bundle);
            }
            _ => {
                self.live.insert(id, Live { published: now, waiting: None });
                published.push(display(&bundle));
            }
        }
        published
    }

    /// Removes what was shown; what follows may be as much again.
    pub(crate) fn clear(&mut self, wait: bool) -> Vec<Published> {
        let mut published = self.flush_text();
        published.extend(self.publish_value());
        published.push(("clear_output", json!({ "wait": wait })));
        (self.shown, self.held) = (0, None);
        published
    }

    /// Takes what was shown last before the end of the cell, which is its value.
    pub(crate) fn push_value(&mut self, bundle: Bundle, now: Instant) -> Vec<Published> {
        if bundle.id.is_some() {
            return self.push_bundle(bundle, now);
        }
        let mut published = self.flush_text();
        published.extend(self.publish_value());
        self.value = Some(bundle);
        published
    }

    /// When [`Output::tick`] must be called next.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let text = self.text_since.map(|since| since + COLLECT);
        let live = self.live.values().filter(|live| live.waiting.is_some());
        text.into_iter().chain(live.map(|live| live.published + REPLACE)).min()
    }

    pub(crate) fn tick(&mut self, now: Instant) -> Vec<Published> {
        let mut published = Vec::new();
        if self.text_since.is_some_and(|since| since + COLLECT <= now) {
            published.extend(self.flush_text());
        }
        for live in self.live.values_mut().filter(|live| live.published + REPLACE <= now) {
            if let Some(bundle) = live.waiting.take() {
                live.published = now;
                published.push(display(&bundle));
            }
        }
        published
    }

    /// Everything not sent yet, at the end of a cell. The value is returned by itself if `with_value`.
    pub(crate) fn finish(&mut self, with_value: bool) -> (Vec<Published>, Option<Bundle>) {
        let mut published = self.flush_text();
        let waiting = self.live.values_mut().filter_map(|live| live.waiting.take());
        published.extend(waiting.map(|bundle| display(&bundle)).collect::<Vec<_>>());
        published.extend(self.held.take().into_iter().flat_map(Held::published));
        if !with_value {
            published.extend(self.publish_value());
        }
        (published, self.value.take())
    }

    /// Sends the collected text without waiting for more.
    pub(crate) fn flush_text(&mut self) -> Vec<Published> {
        self.text_since = None;
        let mut text = mem::take(&mut self.text);
        if text.len() > CHANGES {
            let mut joined = [Stream::Stdout, Stream::Stderr].map(|stream| (stream, String::new()));
            text.iter().for_each(|(stream, part)| {
                joined[usize::from(*stream == Stream::Stderr)].1.push_str(part);
            });
            text = joined.into_iter().filter(|(_, text)| !text.is_empty()).collect();
        }
        let mut published = Vec::new();
        for (stream, mut text) in text {
            let room = SHOWN.saturating_sub(self.shown);
            let mut note = None;
            if text.len() > room {
                let rest = text.split_off(last_line_end(&text, room));
                note = self.hold(stream, &rest);
            }
            // A progress bar that redraws one line does not count towards the limit.
            if !text.starts_with('\r') || text.contains('\n') {
                self.shown += text.len();
            }
            if self.held.is_some() {
                self.shown = self.shown.max(SHOWN);
            }
            if !text.is_empty() {
                published.push(stream_message(stream, &text));
            }
            published.extend(note);
        }
        published
    }

    /// Keeps what is too much to be shown as it comes; the message that says so, the first time.
    fn hold(&mut self, stream: Stream, text: &str) -> Option<Published> {
        let is_first = self.held.is_none();
        let held = self.held.get_or_insert_default();
        held.bytes += text.len();
        held.lines += text.matches('\n').count();
        held.end_bytes += text.len();
        match held.end.back_mut() {
            Some((last, before)) if *last == stream => before.push_str(text),
            _ => held.end.push_back((stream, text.to_owned())),
        }
        // Cutting moves what is kept, so it is done rarely.
        if held.end_bytes > 16 * END {
            held.cut();
        }
        let note = format!(
            "\n[{} kB of text are shown; what follows is held back until the cell ends, which shows the last {} kB of it]\n",
            SHOWN / 1024,
            END / 1024
        );
        is_first.then(|| stream_message(Stream::Stderr, &note))
    }

    fn publish_value(&mut self) -> Vec<Published> {
        self.value.take().map(|bundle| display(&bundle)).into_iter().collect()
    }
}

impl Held {
    /// Drops everything but the last [`END`] bytes.
    fn cut(&mut self) {
        while let Some((_, first)) = self.end.front_mut() {
            let over = self.end_bytes.saturating_sub(END);
            if over == 0 {
                return;
            }
            if first.len() <= over {
                self.end_bytes -= first.len();
                self.end.pop_front();
            } else {
                let at = first.len() - over;
                self.end_bytes -= first.len();
                keep_end(first, at);
                self.end_bytes += first.len();
                return;
            }
        }
    }

    fn published(mut self) -> Vec<Published> {
        self.cut();
        let left_out = self.bytes - self.end_bytes;
        let mut published = Vec::new();
        if left_out > 0 {
            let shown: usize = self.end.iter().map(|(_, text)| text.matches('\n').count()).sum();
            let lines = self.lines.saturating_sub(shown);
            let note = format!(
                "\n[{lines} lines ({left_out} bytes) are left out here: a cell shows {} kB of text, and the last {} kB]\n",
                SHOWN / 1024,
                END / 1024
            );
            published.push(stream_message(Stream::Stderr, &note));
        }
        published.extend(self.end.iter().map(|(stream, text)| stream_message(*stream, text)));
        published
    }
}

/// The text with a line break wherever a line would become longer than [`LINE`]; `line` is the length of the line so far.
fn with_breaks<'a>(text: &'a str, line: &mut usize) -> Cow<'a, str> {
    let ends: [char; 2] = ['\n', '\r'];
    if *line + text.len() <= LINE {
        *line = text.rfind(ends).map_or(*line + text.len(), |at| text.len() - at - 1);
        return text.into();
    }
    let mut broken = String::with_capacity(text.len() + text.len() / LINE + 2);
    for part in text.split_inclusive(ends) {
        let mut rest = part;
        while *line + rest.trim_end_matches(ends).len() > LINE {
            let (beginning, after) = rest.split_at(rest.floor_char_boundary(LINE - *line));
            broken.push_str(beginning);
            broken.push('\n');
            (*line, rest) = (0, after);
        }
        broken.push_str(rest);
        *line = if part.ends_with(ends) { 0 } else { *line + rest.len() };
    }
    broken.into()
}

/// Where to cut a text of which `room` bytes may stay: after a line, or within a line that is longer.
fn last_line_end(text: &str, room: usize) -> usize {
    let room = text.floor_char_boundary(room);
    text[..room].rfind('\n').map_or(room, |at| at + 1)
}

/// Leaves the last `bytes` of a text, from the beginning of a line on if there is one.
fn keep_end(text: &mut String, bytes: usize) {
    if text.len() > bytes {
        let at = text.ceil_char_boundary(text.len() - bytes);
        let line = text[at..].find('\n').map(|end| at + end + 1).filter(|&line| line < text.len());
        text.drain(..line.unwrap_or(at));
    }
}

pub(crate) fn stream_message(stream: Stream, text: &str) -> Published {
    ("stream", json!({ "name": stream.name(), "text": text }))
}

fn display(bundle: &Bundle) -> Published {
    let kind = if bundle.update { "update_display_data" } else { "display_data" };
    let transient = match &bundle.id {
        Some(id) => json!({ "display_id": id }),
        None => json!({}),
    };
    (kind, json!({ "data": data(bundle), "metadata": {}, "transient": transient }))
}

/// As Jupyter wants it: JSON is a value, all else a text.
pub(crate) fn data(bundle: &Bundle) -> Map<String, Value> {
    let form = |(mime, text): (&String, &String)| {
        let parsed = mime.ends_with("json").then(|| serde_json::from_str(text).ok()).flatten();
        (mime.clone(), parsed.unwrap_or_else(|| text.clone().into()))
    };
    bundle.data.iter().map(form).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, id: Option<&str>, update: bool) -> Bundle {
        let data = [("text/plain".to_owned(), text.to_owned())].into();
        Bundle { data, id: id.map(str::to_owned), update }
    }

    fn texts(published: &[Published]) -> String {
        published.iter().filter_map(|(_, content)| content["text"].as_str()).collect()
    }

    #[test]
    fn a_million_lines_become_few_messages_and_their_end_is_kept() {
        let (mut output, start) = (Output::default(), Instant::now());
        let mut published = Vec::new();
        for line in 0..1_000_000u32 {
            let now = start + Duration::from_micros(u64::from(line));
            published.extend(output.push_text(Stream::Stdout, &format!("line {line}\n"), now));
            published.extend(output.tick(now));
        }
        assert_eq!(
            texts(&published).matches("is held back until").count(),
            1,
            "said before the end"
        );
        published.extend(output.finish(true).0);
        let all = texts(&published);
        assert!(published.len() < 101, "{} messages", published.len());
        assert!(all.len() < SHOWN + END + 1000, "{} bytes", all.len());
        assert!(all.starts_with("line 0\nline 1\n") && all.ends_with("line 999999\n"));
        let note = all.lines().find(|line| line.contains("are left out here")).unwrap();
        let left_out: usize = note[1..].split(' ').next().unwrap().parse().unwrap();
        let lines = all.lines().filter(|line| line.starts_with("line ")).count();
        assert_eq!(lines + left_out, 1_000_000, "{note}");
    }

    #[test]
    fn one_line_without_end_is_cut_as_well() {
        let (mut output, now) = (Output::default(), Instant::now());
        let mut all = String::new();
        for _ in 0..100 {
            all += &texts(&output.push_text(Stream::Stdout, &"é".repeat(20_000), now));
            all += &texts(&output.tick(now + COLLECT));
        }
        all += &texts(&output.finish(true).0);
        assert!(all.len() < SHOWN + END + 1000, "{} bytes", all.len());
    }

    #[test]
    fn after_what_was_shown_is_removed_as_much_can_be_shown_again() {
        let (mut output, now) = (Output::default(), Instant::now());
        output.push_text(Stream::Stdout, &"one\n".repeat(SHOWN), now);
        output.flush_text();
        assert_eq!(output.clear(true), [("clear_output", json!({ "wait": true }))]);
        output.push_text(Stream::Stdout, "two\n", now);
        assert_eq!(texts(&output.finish(true).0), "two\n");
    }

    #[test]
    fn a_long_line_is_broken_and_all_of_it_is_there() {
        let mut line = 0;
        let lines = "a".repeat(LINE) + "\nb\n" + &"é".repeat(LINE) + "\n";
        let whole: String = [&lines[..7], &lines[7..]]
            .map(|part| with_breaks(part, &mut line).into_owned())
            .concat();
        assert!(whole.starts_with(&("a".repeat(LINE) + "\nb\né")), "a whole line stays as it is");
        assert!(whole.lines().all(|line| line.len() <= LINE));
        assert_eq!(whole.replace('\n', ""), lines.replace('\n', ""));
        assert_eq!((whole.lines().count(), line), (4, 0));
        // What is drawn over again and again is no long line.
        for _ in 0..10 {
            assert_eq!(
                with_breaks(&("\r".to_owned() + &"#".repeat(LINE / 2)), &mut line).len(),
                LINE / 2 + 1
            );
        }
    }

    #[test]
    fn a_bar_on_one_line_is_drawn_for_as_long_as_it_likes() {
        let (mut output, now) = (Output::default(), Instant::now());
        let bar = format!("\r{}", "#".repeat(100));
        for _ in 0..20_000 {
            output.push_text(Stream::Stdout, &bar, now);
            let published = output.flush_text();
            assert_eq!(texts(&published), bar);
        }
    }

    #[test]
    fn streams_that_take_turns_become_two() {
        let (mut output, now) = (Output::default(), Instant::now());
        for _ in 0..1000 {
            output.push_text(Stream::Stdout, "out\n", now);
            output.push_text(Stream::Stderr, "error\n", now);
        }
        assert_eq!(output.tick(now + COLLECT).len(), 2);
        output.push_text(Stream::Stdout, "a", now);
        output.push_text(Stream::Stderr, "b", now);
        output.push_text(Stream::Stdout, "c", now);
        assert_eq!(texts(&output.tick(now + COLLECT)), "abc");
    }

    #[test]
    fn what_is_replaced_too_often_is_replaced_less_often_and_ends_right() {
        let (mut output, start) = (Output::default(), Instant::now());
        let mut published = output.push_bundle(shown("0", Some("bar"), false), start);
        for step in 1..=1000u64 {
            let now = start + Duration::from_millis(step);
            published.extend(output.push_bundle(shown(&step.to_string(), Some("bar"), true), now));
            published.extend(output.tick(now));
        }
        published.extend(output.finish(true).0);
        assert!((8..=12).contains(&published.len()), "{} messages", published.len());
        assert_eq!(published[0].0, "display_data");
        assert!(published[1..].iter().all(|(kind, _)| *kind == "update_display_data"));
        assert_eq!(published.last().unwrap().1["data"]["text/plain"], "1000");
        assert_eq!(published.last().unwrap().1["transient"]["display_id"], "bar");
    }

    #[test]
    fn a_value_that_something_follows_is_shown_and_one_of_a_failed_cell_too() {
        let (mut output, now) = (Output::default(), Instant::now());
        assert_eq!(output.push_bundle(shown("first", None, false), now).len(), 1);
        assert!(output.push_value(shown("second", None, false), now).is_empty());
        let before = output.push_value(shown("third", None, false), now);
        assert_eq!(before[0].1["data"]["text/plain"], "second");
        let (rest, value) = output.finish(true);
        assert!(rest.is_empty());
        assert_eq!(value.unwrap().data["text/plain"], "third");
        output.push_value(shown("fourth", None, false), now);
        assert_eq!(output.push_text(Stream::Stdout, "x", now)[0].0, "display_data");
        output.push_value(shown("fifth", None, false), now);
        let (rest, value) = output.finish(false);
        assert_eq!((rest.len(), value), (1, None));
        // What can be replaced later is no value.
        assert_eq!(output.push_value(shown("bar", Some("bar"), false), now).len(), 1);
    }

    #[test]
    fn json_is_a_value() {
        let json = [("application/json".to_owned(), "{\"a\": 1}".to_owned())].into();
        let bundle = Bundle { data: json, ..Bundle::default() };
        assert_eq!(data(&bundle)["application/json"]["a"], 1);
    }
}
