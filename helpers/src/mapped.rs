//! A file that is mapped, and that may shrink or change meanwhile without harm.
//!
//! Whoever touches a mapped page that is no longer in the file is ended by the operating system (SIGBUS), and a Rust
//! reference to memory that others may change is undefined behaviour. So nothing here touches the mapping: the kernel
//! copies out of it, many pieces with one call, and answers with an error where a page is gone. What it does not copy is
//! read from the file, which also tells why; outside Linux, and where mapping or that call is refused, this is all of it.
//! Start at [`MappedFile::new`].

use std::fs::File;
use std::io;

use crate::system::files::read_at;

#[cfg(target_os = "linux")]
use memmap2::{MmapOptions, MmapRaw};

/// Pieces that the kernel takes with one call: Linux's `IOV_MAX`.
#[cfg(target_os = "linux")]
const PIECES: usize = 1024;

/// A file, and where it is mapped.
pub(crate) struct MappedFile {
    file: File,
    /// None if it could not be mapped, for want of addresses or by its file system.
    #[cfg(target_os = "linux")]
    mapping: Option<MmapRaw>,
}

impl MappedFile {
    /// Maps a file as long as it is now.
    pub(crate) fn new(file: File) -> MappedFile {
        MappedFile {
            #[cfg(target_os = "linux")]
            mapping: MmapOptions::new().map_raw_read_only(&file).ok(),
            file,
        }
    }

    /// Fills `into` with the pieces of `size` bytes that stand at `places` of the file, one behind the other.
    ///
    /// # Errors
    /// If the file ends before one of them does, which is an `UnexpectedEof`, or cannot be read.
    pub(crate) fn read(&self, places: &[u64], size: usize, into: &mut [u8]) -> io::Result<()> {
        assert_eq!(into.len(), places.len() * size, "room for each piece");
        let copied = self.copy(places, size, into);
        for (&place, piece) in places.iter().zip(into.chunks_exact_mut(size)).skip(copied) {
            read_at(&self.file, piece, place)?;
        }
        Ok(())
    }

    /// Copies pieces out of the mapping, and says how many; the others are still to be read.
    #[cfg(target_os = "linux")]
    fn copy(&self, places: &[u64], size: usize, into: &mut [u8]) -> usize {
        let Some(mapping) = &self.mapping else { return 0 };
        let (mut copied, mut into) = (0, into);
        for places in places.chunks(PIECES) {
            let (now, later) = into.split_at_mut(places.len() * size);
            let whole = copy_once(mapping, places, size, now) / size;
            copied += whole;
            if whole < places.len() {
                break;
            }
            into = later;
        }
        // Behind the end of the file its last page goes on, with zeros. Asked afterwards, so that no cut is missed.
        let end = places[..copied].iter().max().map_or(0, |place| place + size as u64);
        let there = self.file.metadata().is_ok_and(|about| about.len() >= end);
        if there { copied } else { 0 }
    }

    #[cfg(not(target_os = "linux"))]
    fn copy(&self, _: &[u64], _: usize, _: &mut [u8]) -> usize {
        0
    }
}

/// Copies at most [`PIECES`] pieces and says how many bytes came, from the first on: not all if a piece is not in the
/// mapping, a page is not in the file, or the call is refused or unknown.
#[cfg(target_os = "linux")]
fn copy_once(mapping: &MmapRaw, places: &[u64], size: usize, into: &mut [u8]) -> usize {
    let mut from: Vec<libc::iovec> = Vec::with_capacity(places.len());
    for &place in places {
        let end = place.checked_add(size as u64);
        if end.is_none_or(|end| end > mapping.len() as u64) {
            break;
        }
        let start = mapping.as_mut_ptr().wrapping_add(place as usize).cast();
        match from.last_mut() {
            // Neighbours are one piece to the kernel, which is quicker.
            Some(last) if last.iov_base.wrapping_byte_add(last.iov_len) == start => {
                last.iov_len += size;
            }
            _ => from.push(libc::iovec { iov_base: start, iov_len: size }),
        }
    }
    let to = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    // From this process to this process. `process_vm_readv` would do as well, but then it is the mapped pages that the
    // kernel looks up by hand, one by one, which takes half as long again; as it is here, the processor finds them.
    //
    // SAFETY: the kernel reads `from` and `to`, which live until the call returns and are as long as it is told; it writes
    // to `into` alone, of which we hold the only reference, and at most its length. What `from` points to lies within the
    // mapping, which lives as long as `mapping`; that its pages may change or be gone is the kernel's to handle: it copies
    // what it finds, and an address without a page ends the call with fewer bytes or an error, not with a signal.
    let copied = unsafe {
        let process = libc::getpid();
        libc::process_vm_writev(process, from.as_ptr(), from.len() as libc::c_ulong, &to, 1, 0)
    };
    usize::try_from(copied).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More than the pages of any machine.
    const PAGE: u64 = 1 << 16;

    /// Byte `place` of the files in these tests; no two pages are alike.
    fn byte(place: u64) -> u8 {
        (place % 251 + place / PAGE) as u8
    }

    /// A file of three pages and a half, to write to, and the same, mapped.
    fn mapped() -> (File, MappedFile) {
        let file = tempfile::NamedTempFile::new().unwrap();
        let bytes: Vec<u8> = (0..PAGE * 7 / 2).map(byte).collect();
        std::fs::write(file.path(), bytes).unwrap();
        let mapped = MappedFile::new(File::open(file.path()).unwrap());
        (file.into_file(), mapped)
    }

    /// The same, not mapped.
    fn unmapped() -> (File, MappedFile) {
        let (file, mapped) = mapped();
        #[cfg(target_os = "linux")]
        let mapped = MappedFile { mapping: None, ..mapped };
        (file, mapped)
    }

    fn read(file: &MappedFile, places: &[u64], size: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0xaa; places.len() * size];
        file.read(places, size, &mut bytes).map(|()| bytes)
    }

    fn expected(places: &[u64], size: usize) -> Vec<u8> {
        places.iter().flat_map(|&place| (place..place + size as u64).map(byte)).collect()
    }

    /// Scattered, repeated, side by side, over the border of pages, the first and the last of the file.
    const PLACES: [u64; 9] = [PAGE * 2 - 3, 5, PAGE * 7 / 2 - 7, 5, 12, 19, 0, PAGE, PAGE + 7];

    /// More than two calls take, in no order.
    fn many() -> Vec<u64> {
        (0..2500).map(|piece| piece * 7919 % (PAGE * 3)).collect()
    }

    #[test]
    fn pieces_come_in_the_order_they_were_asked_for_mapped_or_not() {
        for (_, file) in [mapped(), unmapped()] {
            for places in [&PLACES[..], &PLACES[..1], &[], &many()] {
                assert_eq!(read(&file, places, 7).unwrap(), expected(places, 7));
            }
            // In one piece, and neighbours beyond what a call takes.
            let whole = (PAGE * 7 / 2) as usize;
            assert_eq!(read(&file, &[0], whole).unwrap(), expected(&[0], whole));
            let neighbours: Vec<u64> = (0..3000).map(|piece| piece * 70).collect();
            assert_eq!(read(&file, &neighbours, 70).unwrap(), expected(&neighbours, 70));
        }
    }

    #[test]
    fn a_mapped_file_that_is_cut_while_it_is_in_use_is_an_error_not_the_end() {
        for (length, left) in [
            (0, vec![]),
            // Within a page, just before the last piece's end, and at the border of a page.
            (PAGE + 10, vec![5, 12, 19, 0, PAGE]),
            (PAGE * 7 / 2 - 1, vec![PAGE * 2 - 3, 5, 12, 19, 0, PAGE, PAGE + 7]),
            (PAGE * 2, vec![5, 12, 19, 0, PAGE, PAGE + 7]),
        ] {
            for (file, reader) in [mapped(), unmapped()] {
                // Pages that were in use and such that were not.
                read(&reader, &PLACES[..3], 7).unwrap();
                file.set_len(length).unwrap();
                for place in PLACES {
                    match read(&reader, &[place], 7) {
                        Ok(bytes) => {
                            assert!(left.contains(&place), "{place} of {length}");
                            assert_eq!(bytes, expected(&[place], 7));
                        }
                        Err(error) => {
                            assert!(!left.contains(&place), "{place} of {length}");
                            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
                        }
                    }
                }
                assert_eq!(read(&reader, &left, 7).unwrap(), expected(&left, 7));
                // One that is gone is enough, wherever it stands.
                for places in [&PLACES[..], &[many(), vec![PAGE * 7 / 2 - 7]].concat()] {
                    let error = read(&reader, places, 7).unwrap_err();
                    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{length}");
                }
            }
        }
    }

    #[test]
    fn a_mapped_file_that_is_cut_while_it_is_copied_does_no_harm() {
        let (file, reader) = mapped();
        let places = many();
        std::thread::scope(|scope| {
            let reading = scope.spawn(|| {
                for _ in 0..300 {
                    if let Err(error) = read(&reader, &places, 7) {
                        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
                    }
                }
            });
            while !reading.is_finished() {
                file.set_len(0).unwrap();
                file.set_len(PAGE * 7 / 2).unwrap();
            }
        });
    }

    #[test]
    fn what_is_written_over_a_mapped_file_is_seen() {
        for (file, reader) in [mapped(), unmapped()] {
            read(&reader, &PLACES, 7).unwrap();
            let mut file = file;
            io::Seek::rewind(&mut file).unwrap();
            io::Write::write_all(&mut file, &vec![77; (PAGE * 4) as usize]).unwrap();
            assert_eq!(read(&reader, &PLACES, 7).unwrap(), [77; 63]);
            // It also grew: that part is not in the mapping, whatever comes after it.
            let places = [vec![3, PAGE * 4 - 7], many()].concat();
            assert_eq!(read(&reader, &places, 7).unwrap(), vec![77; places.len() * 7]);
        }
    }

    #[test]
    fn a_file_without_bytes_has_no_pieces() {
        let reader = MappedFile::new(tempfile::tempfile().unwrap());
        assert!(read(&reader, &[], 7).unwrap().is_empty());
        for place in [0, PAGE] {
            let error = read(&reader, &[place], 7).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
        assert!(read(&reader, &[u64::MAX], 7).is_err());
    }

    #[cfg(target_os = "linux")]
    mod call {
        use super::*;

        /// Whether the call is known and allowed here, tried without a mapping.
        fn allowed() -> bool {
            let (from, mut to) = ([1u8], [0u8]);
            let piece = |start: *mut u8| libc::iovec { iov_base: start.cast(), iov_len: 1 };
            let (source, target) = (piece(from.as_ptr().cast_mut()), piece(to.as_mut_ptr()));
            // SAFETY: both are a byte long and live; only `to` is written to.
            let copied =
                unsafe { libc::process_vm_writev(libc::getpid(), &source, 1, &target, 1, 0) };
            copied == 1 && to == from
        }

        /// Has the kernel answer `error` when this thread calls for a copy; false if it does not take such orders.
        fn refuse(error: i32) -> bool {
            let step = |code, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
            let mut filter = [
                // The number of the call is what a filter finds first.
                step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
                step(
                    libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
                    0,
                    1,
                    libc::SYS_process_vm_writev as u32,
                ),
                step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | error as u32),
                step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
            ];
            let program =
                libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
            // SAFETY: both settings are this thread's alone; the second reads `program`, which lives, during the call.
            unsafe {
                libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
                    && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program) == 0
            }
        }

        #[test]
        fn all_pieces_of_a_mapped_file_are_copied_and_none_is_read() {
            if !allowed() {
                return;
            }
            let (_, file) = mapped();
            for places in [&PLACES[..], &many()] {
                let mut bytes = vec![0; places.len() * 7];
                assert_eq!(file.copy(places, 7, &mut bytes), places.len());
                assert_eq!(bytes, expected(places, 7));
            }
        }

        #[test]
        fn pieces_are_read_where_the_call_is_refused_or_unknown() {
            for error in [libc::EPERM, libc::ENOSYS] {
                // The order is for the rest of a thread's life.
                let thread = std::thread::spawn(move || {
                    if !refuse(error) {
                        return;
                    }
                    assert!(!allowed());
                    let (file, reader) = mapped();
                    assert_eq!(reader.copy(&PLACES, 7, &mut [0; 63]), 0);
                    assert_eq!(read(&reader, &many(), 7).unwrap(), expected(&many(), 7));
                    file.set_len(PAGE).unwrap();
                    let cut = read(&reader, &PLACES, 7).unwrap_err();
                    assert_eq!(cut.kind(), io::ErrorKind::UnexpectedEof);
                });
                thread.join().unwrap();
            }
        }
    }
}
