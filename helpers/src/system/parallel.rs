//! Runs work on all threads that libtorch may use, for code that is not a libtorch operation.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// With fewer values than this, waking a second thread is not worth it.
const WORTH_A_THREAD: usize = 1 << 14;
/// Parts of the work per thread.
const PIECES: usize = 4;

/// Runs `work` on each task, on libtorch's number of threads if there are enough `values`. The result must not depend
/// on which thread runs a task: each task writes to memory of its own.
pub(crate) fn in_parallel<T: Send>(values: usize, tasks: Vec<T>, work: impl Fn(T) + Sync) {
    if threads() == 1 || values < WORTH_A_THREAD || tasks.len() < 2 {
        return tasks.into_iter().for_each(work);
    }
    in_team(tasks, work);
}

/// [`in_parallel`] for work that calls libtorch: inside a team libtorch uses one thread, so results do not depend on
/// the number of threads. Without a team ([`has_team`]) libtorch may split its operations further.
pub(crate) fn in_team<T: Send>(tasks: Vec<T>, work: impl Fn(T) + Sync) {
    let threads = threads();
    if threads == 1 {
        return tasks.into_iter().for_each(work);
    }
    let pieces = tasks.len().min(PIECES * threads);
    let mut shares: Vec<Vec<T>> = (0..pieces).map(|_| Vec::new()).collect();
    for (index, task) in tasks.into_iter().enumerate() {
        shares[index % pieces].push(task);
    }
    let shares: Vec<Mutex<Vec<T>>> = shares.into_iter().map(Mutex::new).collect();
    let next = AtomicUsize::new(0);
    // Threads take parts until none is left: if another program stops a thread, only one part waits, and a team may
    // have fewer threads than requested.
    let take = || {
        while let Some(share) = shares.get(next.fetch_add(1, Ordering::Relaxed)) {
            let share = std::mem::take(&mut *share.lock().unwrap_or_else(PoisonError::into_inner));
            share.into_iter().for_each(&work);
        }
    };
    on_threads(threads, &take);
}

fn threads() -> usize {
    tch::get_num_threads().max(1) as usize
}

/// True if libtorch's own threads run our work: they do with GCC's OpenMP, which libtorch's builds for Linux include.
pub(crate) fn has_team() -> bool {
    #[cfg(target_os = "linux")]
    return openmp::Team::loaded().is_some();
    #[cfg(not(target_os = "linux"))]
    false
}

/// Runs `work` on this many threads at once.
fn on_threads(threads: usize, work: &(dyn Fn() + Sync)) {
    #[cfg(target_os = "linux")]
    if let Some(team) = openmp::Team::loaded() {
        return team.run(threads, work);
    }
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
}

/// libtorch's own threads, through OpenMP. They already wait for work, so they start sooner than new threads, and no
/// second pool of waiting threads takes processor time.
#[cfg(target_os = "linux")]
mod openmp {
    use std::any::Any;
    use std::ffi::{c_int, c_uint, c_void};
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
    use std::sync::{Mutex, OnceLock, PoisonError};

    /// `GOMP_parallel` of GCC's `libgomp`: what a compiler makes of `#pragma omp parallel`.
    type Parallel = unsafe extern "C" fn(
        work: unsafe extern "C" fn(*mut c_void),
        data: *mut c_void,
        threads: c_uint,
        flags: c_uint,
    );

    /// `omp_set_num_threads`.
    type SetNumThreads = unsafe extern "C" fn(threads: c_int);

    /// `MKL_Set_Num_Threads_Local`, which gives the number before.
    type MklSetNumThreads = unsafe extern "C" fn(threads: c_int) -> c_int;

    #[derive(Clone, Copy)]
    pub(super) struct Team {
        parallel: Parallel,
        set_num_threads: SetNumThreads,
        /// None where libtorch came without MKL.
        mkl_set_num_threads: Option<MklSetNumThreads>,
    }

    struct Work<'a> {
        work: &'a (dyn Fn() + Sync),
        team: Team,
        panicked: Mutex<Option<Box<dyn Any + Send>>>,
    }

    impl Team {
        /// The team of GCC's OpenMP as libtorch has loaded it; none with another OpenMP. Looked for until it is found: the
        /// look takes some microseconds, and a training step asks dozens of times.
        pub(super) fn loaded() -> Option<Team> {
            static FOUND: OnceLock<Team> = OnceLock::new();
            FOUND.get().copied().or_else(|| Team::find().map(|team| *FOUND.get_or_init(|| team)))
        }

        fn find() -> Option<Team> {
            // SAFETY: all names end in 0, and with RTLD_NOLOAD nothing is loaded, so nothing is run. libtorch stays
            // loaded as long as this code, which is linked with it, and so does what it needs.
            let [parallel, set_num_threads] = unsafe {
                let library =
                    libc::dlopen(c"libgomp.so.1".as_ptr(), libc::RTLD_LAZY | libc::RTLD_NOLOAD);
                if library.is_null() {
                    return None;
                }
                let names = [c"GOMP_parallel", c"omp_set_num_threads"];
                let found = names.map(|name| libc::dlsym(library, name.as_ptr()));
                libc::dlclose(library);
                found
            };
            if parallel.is_null() || set_num_threads.is_null() {
                return None;
            }
            // SAFETY: the name ends in 0.
            let mkl =
                unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"MKL_Set_Num_Threads_Local".as_ptr()) };
            // SAFETY: these functions have had these types in all versions of the libraries since 2013, and an optional
            // function is a pointer that may be null.
            unsafe {
                Some(Team {
                    parallel: std::mem::transmute::<*mut c_void, Parallel>(parallel),
                    set_num_threads: std::mem::transmute::<*mut c_void, SetNumThreads>(
                        set_num_threads,
                    ),
                    mkl_set_num_threads: std::mem::transmute::<*mut c_void, Option<MklSetNumThreads>>(
                        mkl,
                    ),
                })
            }
        }

        pub(super) fn run(self, threads: usize, work: &(dyn Fn() + Sync)) {
            let parallel = self.parallel;
            let work = Work { work, team: self, panicked: Mutex::new(None) };
            // SAFETY: `start` takes a pointer to `Work`, which lives until this call ends, after all threads have
            // returned.
            unsafe { parallel(start, (&raw const work).cast_mut().cast(), threads as c_uint, 0) };
            let panicked = work.panicked.into_inner().unwrap_or_else(PoisonError::into_inner);
            if let Some(panicked) = panicked {
                resume_unwind(panicked);
            }
        }
    }

    /// One thread's share of the work. A panic must not unwind through C.
    unsafe extern "C" fn start(data: *mut c_void) {
        // SAFETY: `run` passes this and waits.
        let work = unsafe { &*data.cast::<Work>() };
        let Team { set_num_threads, mkl_set_num_threads, .. } = work.team;
        // libtorch sets a thread's number of threads at the first question for it, so ask before changing it.
        tch::get_num_threads();
        // SAFETY: both calls set numbers of this thread: the first until the team ends, the second until it is reset
        // below. Without the first, oneDNN would plan a convolution's gradient for all threads, run the parts one after
        // the other, and deadlock when one part waits for the next. Without the second, MKL splits sums as for all
        // threads.
        let before = unsafe {
            set_num_threads(1);
            mkl_set_num_threads.map(|set| set(1))
        };
        if let Err(panicked) = catch_unwind(AssertUnwindSafe(work.work)) {
            *work.panicked.lock().unwrap_or_else(PoisonError::into_inner) = Some(panicked);
        }
        if let (Some(set), Some(before)) = (mkl_set_num_threads, before) {
            // SAFETY: as above.
            unsafe { set(before) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many that threads are used.
    const MANY: usize = 1 << 20;

    fn with_threads(threads: i32, test: impl FnOnce()) {
        let before = tch::get_num_threads();
        tch::set_num_threads(threads);
        test();
        tch::set_num_threads(before);
    }

    #[test]
    fn each_task_is_done_once_by_any_number_of_threads() {
        for threads in [1, 2, 3, 8] {
            with_threads(threads, || {
                let mut counts = vec![0; 100];
                in_parallel(MANY, counts.iter_mut().collect(), |count| *count += 1);
                assert_eq!(counts, [1; 100], "{threads} threads");
            });
        }
    }

    #[test]
    fn two_threads_work_at_once() {
        with_threads(2, || {
            // Each waits for the other; one alone would wait for ever.
            let barrier = std::sync::Barrier::new(2);
            in_parallel(MANY, vec![(), ()], |()| {
                barrier.wait();
            });
        });
    }

    #[test]
    fn a_panic_reaches_the_caller() {
        with_threads(2, || {
            let work = |number: i32| assert!(number != 3, "number 3");
            let caught = std::panic::catch_unwind(|| in_parallel(MANY, vec![1, 2, 3, 4], work));
            let message = caught.unwrap_err();
            assert_eq!(message.downcast_ref::<&str>(), Some(&"number 3"));
        });
    }
}
