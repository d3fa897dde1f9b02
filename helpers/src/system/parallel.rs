//! Work on all processor cores that libtorch may use, where libtorch does not do it itself.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Values for which a second thread is worth waking.
const WORTH_A_THREAD: usize = 1 << 14;
/// Shares of the work for each thread.
const PIECES: usize = 4;

/// Does `work` for each task, on as many threads as libtorch has if there are enough `values` to be worth it. What comes
/// out must not depend on who does what: each task has its own place to write to.
pub(crate) fn in_parallel<T: Send>(values: usize, tasks: Vec<T>, work: impl Fn(T) + Sync) {
    if threads() == 1 || values < WORTH_A_THREAD || tasks.len() < 2 {
        return tasks.into_iter().for_each(work);
    }
    in_team(tasks, work);
}

/// As [`in_parallel`], for work that calls libtorch: within a team it has one thread, so that its results are those of one
/// thread, whatever the number of threads. Where there is no team ([`has_team`]), it may cut operations further.
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
    // Each thread takes shares until there is none left: one that another program has stopped holds up a single one, and a
    // team may be smaller than was asked for.
    let take = || {
        while let Some(share) = shares.get(next.fetch_add(1, Ordering::Relaxed)) {
            let share = std::mem::take(&mut *share.lock().unwrap_or_else(PoisonError::into_inner));
            share.into_iter().for_each(&work);
        }
    };
    on_threads(threads, &take);
}

/// Starts work on a thread of its own that gives way to all others.
pub(crate) fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> std::thread::JoinHandle<T> {
    std::thread::spawn(move || {
        #[cfg(target_os = "linux")]
        // SAFETY: a plain system call; on Linux 0 means the thread that calls. That it is refused does not matter.
        unsafe {
            libc::setpriority(libc::PRIO_PROCESS, 0, 10);
        }
        work()
    })
}

fn threads() -> usize {
    tch::get_num_threads().max(1) as usize
}

/// Whether libtorch's own threads do our work: with GCC's OpenMP, which its builds for Linux bring.
pub(crate) fn has_team() -> bool {
    #[cfg(target_os = "linux")]
    return openmp::Team::loaded().is_some();
    #[cfg(not(target_os = "linux"))]
    false
}

/// Runs `work` on so many threads at once.
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

/// The threads that libtorch works with. They wait for work, so they start on it sooner than new ones, and they do not
/// stand in the way of ours while they wait.
#[cfg(target_os = "linux")]
mod openmp {
    use std::any::Any;
    use std::ffi::{c_int, c_uint, c_void};
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
    use std::sync::{Mutex, PoisonError};

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
        /// The team of the library that libtorch brought; none if it came with another one.
        pub(super) fn loaded() -> Option<Team> {
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
            // SAFETY: functions of these names have these types, in every version of the libraries since 2013, and a pointer
            // that may be null is what an optional function is.
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
            // SAFETY: `start` takes a pointer to `Work`, which lives until all threads have returned from it: that is
            // when this call ends.
            unsafe { parallel(start, (&raw const work).cast_mut().cast(), threads as c_uint, 0) };
            let panicked = work.panicked.into_inner().unwrap_or_else(PoisonError::into_inner);
            if let Some(panicked) = panicked {
                resume_unwind(panicked);
            }
        }
    }

    /// A thread's part. A panic may not leave it through C.
    unsafe extern "C" fn start(data: *mut c_void) {
        // SAFETY: `run` passes this and waits.
        let work = unsafe { &*data.cast::<Work>() };
        let Team { set_num_threads, mkl_set_num_threads, .. } = work.team;
        // libtorch gives each thread its number when it first asks for it: so that comes first.
        tch::get_num_threads();
        // SAFETY: they set numbers of this thread, one until the team ends and one until it is set back. Without the first,
        // oneDNN would make a convolution's gradient for all threads, run their parts one after the other, and wait for ever
        // where one waits for the next; without the second, MKL cuts sums as for all threads.
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
