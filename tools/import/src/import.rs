//! Makes arrays from pictures: in parallel, with the pixels of few pictures in memory, and resumed after a stop.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::arrays::Array;
use crate::container::{self, Container};
use crate::list::{self, List};
use crate::picture;
use crate::preview;
use crate::request::Request;

/// Number of pictures that are read in parallel before their pixels are written. Large enough that no core waits at the
/// end of a chunk, small enough that a stop only loses seconds.
const CHUNK: usize = 256;

/// The progress of an import; kept beside the arrays until they are complete.
#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    /// SHA-256 of the request and of the list of pictures: if it differs, the import starts from the beginning.
    request: String,
    /// Number of pictures that were read, and how many of them are in the arrays.
    seen: usize,
    kept: usize,
    /// Number of pictures of each class in the arrays.
    counts: Vec<usize>,
    left_out: Vec<(PathBuf, String)>,
}

/// Reads all pictures, or takes the arrays out of another file, and writes X.npy and y.npy.
///
/// `images` and `labels` are the names of the arrays in an `.npz` file, or the file with the labels of MNIST's own.
///
/// # Errors
/// As a sentence, with what to do.
pub fn run(
    request: &Request,
    images: Option<String>,
    labels: Option<String>,
) -> Result<(), String> {
    if !(8..=4096).contains(&request.side) {
        return Err(format!("--size takes 8 to 4096 pixels, got {}", request.side));
    }
    let into = &request.into;
    for name in ["X.npy", "y.npy", "classes.txt"] {
        if into.join(name).exists() {
            let there = into.join(name).display().to_string();
            return Err(format!(
                "{there} is there already, and is never overwritten; name another folder with --into, or move it away"
            ));
        }
    }
    let container = Container { source: request.source.clone(), images, labels };
    if container::is_one(&request.source) {
        fs::create_dir_all(into)
            .map_err(|error| format!("cannot make {}: {error}", into.display()))?;
        container.copy(into)?;
        println!("next: cargo xtask run -p data {}", into.display());
        return Ok(());
    }
    let list = list::find(&request.source)?;
    if let Some(row) = &list.heading {
        println!("the first row, `{row}`, names no file that is there: taken for a heading");
    }
    let of_folder = |error: io::Error| format!("cannot write in {}: {error}", into.display());
    fs::create_dir_all(into).map_err(of_folder)?;
    let mut import = Import::begin(request, &list).map_err(of_folder)?;
    import.read_all(&list).map_err(of_folder)?;
    write_left_out(into, &import.state.left_out).map_err(of_folder)?;
    if import.state.kept == 0 {
        let (path, reason) = &import.state.left_out[0];
        let all = import.state.left_out.len();
        return Err(format!(
            "none of the {all} pictures can be read, {} says why; {}: {reason}",
            into.join(LEFT_OUT).display(),
            path.display()
        ));
    }
    import.finish(&list).map_err(of_folder)
}

/// The list of pictures that cannot be read, beside the arrays.
const LEFT_OUT: &str = "left_out.txt";

/// Writes a line for each picture that is left out; if there is none, removes the file of an earlier import.
fn write_left_out(into: &Path, left_out: &[(PathBuf, String)]) -> io::Result<()> {
    let path = into.join(LEFT_OUT);
    if left_out.is_empty() {
        return if path.exists() { fs::remove_file(path) } else { Ok(()) };
    }
    let line = |(path, reason): &(PathBuf, String)| format!("{}: {reason}\n", path.display());
    fs::write(path, left_out.iter().map(line).collect::<String>())
}

/// A running import.
struct Import<'a> {
    request: &'a Request,
    state: State,
    x: Array,
    y: Array,
    /// For the hash of each picture's pixels: its index, and the number of its class.
    known: HashMap<[u8; 16], (usize, usize)>,
    /// Number of pictures with the same pixels as an earlier one, and how many of those have another class than it.
    copies: [usize; 2],
}

impl<'a> Import<'a> {
    /// Resumes the import that was stopped, or starts a new one.
    fn begin(request: &'a Request, list: &List) -> io::Result<Import<'a>> {
        let mut state = State {
            request: identity(request, list),
            counts: vec![0; list.classes.len()],
            ..State::default()
        };
        let shape = match request.grey {
            true => vec![request.side; 2],
            false => vec![request.side, request.side, 3],
        };
        let path = |name: &str| request.into.join(name);
        let pixels = shape.iter().product::<usize>() as u64;
        if let Ok(text) = fs::read(state_path(request))
            && let Ok(before) = serde_json::from_slice::<State>(&text)
            && before.request == state.request
            && Array::holds(&path("X.npy"), pixels, before.kept as u64)
            && Array::holds(&path("y.npy"), 8, before.kept as u64)
        {
            println!("going on after {} pictures", before.seen);
            state = before;
        }
        let entries = state.kept as u64;
        let mut import = Import {
            request,
            x: Array::open(&path("X.npy"), "|u1", shape, entries)?,
            y: Array::open(&path("y.npy"), "<i8", Vec::new(), entries)?,
            state,
            known: HashMap::new(),
            copies: [0; 2],
        };
        import.look_for_copies()?;
        Ok(import)
    }

    /// Reads the pictures that are already in the arrays.
    fn look_for_copies(&mut self) -> io::Result<()> {
        let mut labels = Vec::new();
        self.y.each(|label| {
            labels.push(i64::from_le_bytes(label.try_into().unwrap_or_default()) as usize);
        })?;
        let (known, copies, mut index) = (&mut self.known, &mut self.copies, 0);
        self.x.each(|pixels| {
            note_copy(known, copies, pixels, index, labels[index]);
            index += 1;
        })
    }

    fn read_all(&mut self, list: &List) -> io::Result<()> {
        let (begun, before) = (Instant::now(), self.state.seen);
        let mut told = begun;
        let Request { side, grey, fit, .. } = *self.request;
        while self.state.seen < list.pictures.len() {
            let end = (self.state.seen + CHUNK).min(list.pictures.len());
            let chunk = &list.pictures[self.state.seen..end];
            let read: Vec<Result<Vec<u8>, String>> = chunk
                .par_iter()
                .map(|(path, _)| picture::read(path, [side; 2], grey, fit))
                .collect();
            for ((path, class), pixels) in chunk.iter().zip(read) {
                match pixels {
                    Ok(pixels) => self.keep(&pixels, *class)?,
                    Err(reason) => self.state.left_out.push((path.clone(), reason)),
                }
            }
            self.state.seen = end;
            self.save()?;
            if told.elapsed() > Duration::from_secs(2) {
                told = Instant::now();
                let speed = (end - before) as f64 / begun.elapsed().as_secs_f64();
                let left = (list.pictures.len() - end) as f64 / speed;
                println!(
                    "{end} of {} pictures, {speed:.0} a second, {left:.0} s left",
                    list.pictures.len()
                );
            }
        }
        Ok(())
    }

    fn keep(&mut self, pixels: &[u8], class: usize) -> io::Result<()> {
        note_copy(&mut self.known, &mut self.copies, pixels, self.state.kept, class);
        self.x.push(pixels)?;
        self.y.push(&(class as i64).to_le_bytes())?;
        self.state.kept += 1;
        self.state.counts[class] += 1;
        Ok(())
    }

    /// Saves the progress: first the arrays, then the state, so that the state never claims more than the arrays have.
    fn save(&mut self) -> io::Result<()> {
        self.x.flush()?;
        self.y.flush()?;
        let path = state_path(self.request);
        let fresh = path.with_extension("json.part");
        fs::write(&fresh, serde_json::to_vec(&self.state)?)?;
        fs::rename(fresh, path)
    }

    fn finish(self, list: &List) -> io::Result<()> {
        let Import { request, state, x, y, copies, .. } = self;
        let into = &request.into;
        let entries = state.kept as u64;
        preview::write(&into.join("preview.html"), &x, request, &list.classes, &state.counts)?;
        let mut classes = list.classes.join("\n");
        classes.push('\n');
        fs::write(into.join("classes.txt"), classes)?;
        y.finish(entries)?;
        // `X.npy` is last: if it exists, the others do, too.
        x.finish(entries)?;
        fs::remove_file(state_path(request))?;
        tell(request, &state, list, copies);
        Ok(())
    }
}

/// Prints the result.
fn tell(request: &Request, state: &State, list: &List, [copies, elsewhere]: [usize; 2]) {
    let (side, colour) = (request.side, if request.grey { "grey" } else { "colour" });
    println!(
        "{} pictures of {side} x {side} pixels, {colour}, in {} classes:",
        state.kept,
        list.classes.len()
    );
    let width = list.classes.iter().map(|class| class.chars().count()).max().unwrap_or(0);
    for (class, count) in list.classes.iter().zip(&state.counts) {
        println!("  {class:<width$} {count:>9}");
    }
    if copies > 0 {
        println!(
            "{copies} pictures have the pixels of an earlier one, {elsewhere} of them in another class; all are kept"
        );
    }
    for (path, reason) in state.left_out.iter().take(10) {
        println!("left out: {}: {reason}", path.display());
    }
    if state.left_out.len() > 10 {
        let (more, list) = (state.left_out.len() - 10, request.into.join(LEFT_OUT));
        println!("left out: {more} more; all of them stand in {}", list.display());
    }
    let into = request.into.display();
    println!("{into}/preview.html shows eight of each class");
    println!("next: cargo xtask run -p data {into}");
}

fn note_copy(
    known: &mut HashMap<[u8; 16], (usize, usize)>,
    copies: &mut [usize; 2],
    pixels: &[u8],
    index: usize,
    class: usize,
) {
    let digest = Sha256::digest(pixels);
    let mut key = [0; 16];
    key.copy_from_slice(&digest[..16]);
    let (_, first) = *known.entry(key).or_insert((index, class));
    if known[&key].0 != index {
        copies[0] += 1;
        copies[1] += usize::from(first != class);
    }
}

fn state_path(request: &Request) -> PathBuf {
    request.into.join("import.json")
}

fn identity(request: &Request, list: &List) -> String {
    let mut hash = Sha256::new();
    hash.update(serde_json::to_vec(request).unwrap_or_default());
    for (path, class) in &list.pictures {
        let path: &Path = path;
        hash.update(path.as_os_str().as_encoded_bytes());
        hash.update(class.to_le_bytes());
    }
    format!("{:x}", hash.finalize())
}
