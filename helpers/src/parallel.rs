//! Work on all processor cores that libtorch may use, where libtorch does not do it itself.

/// Values for which a second thread is worth its start.
const WORTH_A_THREAD: usize = 1 << 15;

/// Does `work` for each task, on as many threads as libtorch has if there are enough `values` to be worth it. What comes
/// out must not depend on who does what: each task has its own place to write to.
pub(crate) fn in_parallel<T: Send>(values: usize, tasks: Vec<T>, work: impl Fn(T) + Sync) {
    let threads = (tch::get_num_threads().max(1) as usize).min(values / WORTH_A_THREAD + 1);
    let mut shares: Vec<Vec<T>> = (0..threads).map(|_| Vec::new()).collect();
    for (place, task) in tasks.into_iter().enumerate() {
        shares[place % threads].push(task);
    }
    let own = shares.pop().expect("at least one thread");
    let work = &work;
    std::thread::scope(|scope| {
        for share in shares {
            scope.spawn(move || share.into_iter().for_each(work));
        }
        own.into_iter().for_each(work);
    });
}
