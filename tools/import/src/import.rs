//! Makes arrays from pictures: in parallel, with the pixels of few pictures in memory, and resumed after a stop.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::arrays::Array;
use crate::classes;
use crate::container::{self, Container};
use crate::list::{self, List};
use crate::picture;
use crate::preview;
use crate::progress::Progress;
use crate::request::Request;
use crate::state::{Copies, LEFT_OUT, State};
use crate::told;

/// Number of pictures that are read in parallel before their pixels are written. Large enough that no core waits at the
/// end of a chunk, small enough that a stop only loses seconds.
const CHUNK: usize = 256;

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
        told::next(into);
        return Ok(());
    }
    // Nothing is written until the list is known to make a data set that notebooks can read.
    let list = list::find(&request.source)?;
    list.notes.iter().for_each(|note| println!("{note}"));
    let of_folder = |error: io::Error| format!("cannot write in {}: {error}", into.display());
    fs::create_dir_all(into).map_err(of_folder)?;
    let mut import = Import::begin(request, &list).map_err(of_folder)?;
    import.read_all().map_err(of_folder)?;
    import.write_left_out().map_err(of_folder)?;
    import.check()?;
    import.finish().map_err(of_folder)
}

/// A running import.
struct Import<'a> {
    request: &'a Request,
    list: &'a List,
    state: State,
    x: Array,
    copies: Copies,
}

impl<'a> Import<'a> {
    /// Resumes the import that was stopped, or starts a new one.
    fn begin(request: &'a Request, list: &'a List) -> io::Result<Import<'a>> {
        let mut state = State {
            request: identity(request, list),
            counts: vec![0; list.classes.len()],
            ..State::default()
        };
        let shape = match request.grey {
            true => vec![request.side; 2],
            false => vec![request.side, request.side, 3],
        };
        let path = request.into.join("X.npy");
        let pixels = shape.iter().product::<usize>() as u64;
        if let Ok(text) = fs::read(state_path(request))
            && let Ok(before) = serde_json::from_slice::<State>(&text)
            && before.request == state.request
            && Array::holds(&path, pixels, before.kept as u64)
        {
            println!("going on after {} pictures", before.seen);
            state = before;
        }
        let x = Array::open(&path, "|u1", shape, state.kept as u64)?;
        // Notes the pictures that an earlier call wrote to the array, so that copies of them are found, too.
        let left_out: HashSet<usize> = state.left_out.iter().map(|(at, _)| *at).collect();
        let mut kept = (0..state.seen).filter(|at| !left_out.contains(at));
        let mut copies = Copies::default();
        x.each(|pixels| kept.next().into_iter().for_each(|at| copies.note(pixels, at)))?;
        Ok(Import { request, list, state, x, copies })
    }

    fn read_all(&mut self) -> io::Result<()> {
        let list = self.list;
        let pictures = &list.pictures;
        let progress = Mutex::new(Progress::new(pictures.len(), self.state.seen));
        let Request { side, grey, fit, .. } = *self.request;
        while self.state.seen < pictures.len() {
            let begin = self.state.seen;
            let end = (begin + CHUNK).min(pictures.len());
            let read: Vec<Result<Vec<u8>, String>> = pictures[begin..end]
                .par_iter()
                .map(|(path, _)| {
                    let pixels = picture::read(path, [side; 2], grey, fit);
                    if let Ok(mut progress) = progress.lock() {
                        progress.one_more();
                    }
                    pixels
                })
                .collect();
            for (at, pixels) in (begin..).zip(read) {
                match pixels {
                    Ok(pixels) => self.keep(&pixels, at)?,
                    Err(reason) => self.state.left_out.push((at, reason)),
                }
            }
            self.state.seen = end;
            self.save()?;
        }
        Ok(())
    }

    fn keep(&mut self, pixels: &[u8], at: usize) -> io::Result<()> {
        self.copies.note(pixels, at);
        self.x.push(pixels)?;
        self.state.kept += 1;
        self.state.counts[self.list.pictures[at].1] += 1;
        Ok(())
    }

    /// Saves the progress: first the array, then the state, so that the state never claims more than the array has.
    fn save(&mut self) -> io::Result<()> {
        self.x.flush()?;
        let path = state_path(self.request);
        let fresh = path.with_extension("json.part");
        fs::write(&fresh, serde_json::to_vec(&self.state)?)?;
        fs::rename(fresh, path)
    }

    /// Writes a line for each picture that is left out; if there is none, removes the file of an earlier import.
    fn write_left_out(&self) -> io::Result<()> {
        let path = self.request.into.join(LEFT_OUT);
        if self.state.left_out.is_empty() {
            return if path.exists() { fs::remove_file(path) } else { Ok(()) };
        }
        let line = |(at, reason): &(usize, String)| {
            format!("{}: {reason}\n", self.list.pictures[*at].0.display())
        };
        fs::write(path, self.state.left_out.iter().map(line).collect::<String>())
    }

    /// Checks the classes again, without the pictures that could not be read: a class may have lost too many.
    fn check(&self) -> Result<(), String> {
        let State { kept, counts, left_out, .. } = &self.state;
        let Some((at, reason)) = left_out.first() else { return Ok(()) };
        let said = self.request.into.join(LEFT_OUT);
        let (said, all) = (said.display(), left_out.len());
        if *kept == 0 {
            let path = self.list.pictures[*at].0.display();
            return Err(format!(
                "none of the {all} pictures can be read, {said} says why; {path}: {reason}"
            ));
        }
        classes::check(&self.list.classes, counts).map_err(|problem| {
            format!("{problem}; what cannot be read ({all} pictures) is left out, {said} says why")
        })
    }

    fn finish(self) -> io::Result<()> {
        let Import { request, list, state, x, copies } = self;
        let into = &request.into;
        // Classes without a picture are left out: y has no number for them.
        let there = list.classes.iter().zip(&state.counts).filter(|(_, count)| **count > 0);
        let (classes, counts): (Vec<String>, Vec<usize>) =
            there.map(|(class, count)| (class.clone(), *count)).unzip();
        preview::write(&into.join("preview.html"), &x, request, &classes, &counts)?;
        fs::write(into.join("classes.txt"), classes.join("\n") + "\n")?;
        write_labels(&into.join("y.npy"), &counts)?;
        // `X.npy` is last: if it exists, the others do, too.
        x.finish(state.kept as u64)?;
        fs::remove_file(state_path(request))?;
        told::result(request, &state, list, &copies);
        Ok(())
    }
}

/// The numbers of the classes: in the array, the pictures of a class are consecutive.
fn write_labels(path: &Path, counts: &[usize]) -> io::Result<()> {
    let mut y = Array::open(path, "<i8", Vec::new(), 0)?;
    for (class, &count) in (0_i64..).zip(counts) {
        y.push(&class.to_le_bytes().repeat(count))?;
    }
    y.finish(counts.iter().sum::<usize>() as u64)
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
