//! How many threads a loop over batches works with, measured while it runs.
//!
//! libtorch cuts each operation into as many parts as it has threads, and waits for the last of them: dozens of times in a
//! training step. Where another program has the core that one thread needs, all wait until that program's time slice is
//! over. What that costs, and what is won here, stands in `docs/performance.md`. So a loop tries, now and then,
//! whether fewer threads are faster, and takes them back when they are not. Beside a busy program a loop begins with
//! what the one before it has found: a validation part is over before anything can be tried. No result depends on it:
//! the engine's sums are added up in an order that is the same for any number of threads.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::parallel::has_team;

/// Time that is measured to compare two numbers of threads: several time slices of the system (3 to 4 ms each).
const WINDOW: Duration = Duration::from_millis(60);
/// Batches that are measured at least.
const BATCHES: usize = 3;
/// How much faster another number must be: less is noise.
const WORTH_A_CHANGE: f64 = 1.1;
/// Below this share of the speed, one batch is enough to give up an attempt.
const HOPELESS: f64 = 0.7;
/// Share of the time that attempts may lose on a quiet machine.
const QUIET_SHARE: f64 = 0.01;
/// As [`QUIET_SHARE`], while all threads work and others take the processor away from them; half of it after each
/// attempt that was worth nothing.
const BUSY_SHARE: f64 = 0.1;
/// Involuntary switches a second from which the machine counts as busy. Two Zen 4 cores, trainings of the dense network and the CNN, tenths of a
/// second: 30 to 100 on the quiet machine, 120 to 400 beside one or two busy programs. With 50 the CNN lost 7% to attempts
/// on that quiet machine.
const BUSY_SWITCHES: f64 = 110.0;

/// How long the number of threads that one loop has found is where the next one begins.
const REMEMBERED: Duration = Duration::from_secs(10);

/// The number of threads that an attempt has shown to be right beside a busy program, of how many, and when.
static LAST_FOUND: Mutex<Option<(usize, usize, Instant)>> = Mutex::new(None);

/// The threads of a loop over batches. They are libtorch's, for the whole process, between [`AdaptiveThreads::enter`] and
/// [`AdaptiveThreads::leave`].
pub(crate) struct AdaptiveThreads {
    /// libtorch's number of threads outside.
    most: usize,
    choice: Option<Choice>,
    started: Instant,
}

impl AdaptiveThreads {
    /// At most as many as libtorch has now, and always that many where results would depend on it.
    pub(crate) fn new() -> AdaptiveThreads {
        let most = usize::try_from(tch::get_num_threads()).unwrap_or(1);
        let found = *LAST_FOUND.lock().unwrap_or_else(PoisonError::into_inner);
        let first = found.filter(|&(_, of, when)| of == most && when.elapsed() < REMEMBERED);
        let first = first.map_or(most, |(found, ..)| found);
        let choice = (most > 1 && has_team()).then(|| Choice::new(most).starting_with(first));
        AdaptiveThreads { most, choice, started: Instant::now() }
    }

    /// Takes the threads of the last loop.
    pub(crate) fn enter(&mut self) {
        if let Some(choice) = &mut self.choice {
            choice.begin();
            set_num_threads(choice.threads());
        }
    }

    /// To be called after each batch.
    pub(crate) fn after_batch(&mut self, images: usize) {
        if let Some(choice) = &mut self.choice {
            let tried = choice.tried.is_some();
            choice.after_batch(images, self.started.elapsed(), involuntary_switches());
            set_num_threads(choice.threads());
            if tried && choice.tried.is_none() {
                // On a quiet machine it may be noise, or be right for this kind of work alone.
                let found = choice.busy.then(|| (choice.threads(), self.most, Instant::now()));
                *LAST_FOUND.lock().unwrap_or_else(PoisonError::into_inner) = found;
            }
        }
    }

    /// Gives libtorch the threads that it had.
    pub(crate) fn leave(&mut self) {
        if self.choice.is_some() {
            set_num_threads(self.most);
        }
    }
}

impl Drop for AdaptiveThreads {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Only where it is another number: libtorch forgets its prepared kernels with each call.
fn set_num_threads(threads: usize) {
    if tch::get_num_threads() != threads as i32 {
        tch::set_num_threads(threads as i32);
    }
}

/// How often one of our threads was taken from the processor for another program; 0 where nobody counts.
fn involuntary_switches() -> u64 {
    #[cfg(unix)]
    {
        // SAFETY: the structure is plain numbers, and the call fills it.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: as above.
        unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) };
        u64::try_from(usage.ru_nivcsw).unwrap_or(0)
    }
    #[cfg(not(unix))]
    0
}

/// Which number of threads, and what is known about the speed of others. Times are those since the start of the loop.
struct Choice {
    /// The numbers to choose from, the largest first.
    numbers: Vec<usize>,
    /// Index of the chosen one, and its images a second in the last window.
    chosen: usize,
    speed: Option<f64>,
    /// Whether others took the processor away when all threads worked last.
    busy: bool,
    /// Index of the one that is tried, and since when.
    tried: Option<(usize, Duration)>,
    /// Index of the one that was tried last: each has its turn.
    last_tried: usize,
    /// What all attempts have lost so far, and the last one; both in seconds.
    lost: f64,
    last_loss: Option<f64>,
    /// Attempts since one was worth a change.
    failed: i32,
    window: Option<Window>,
}

/// What is measured: images and batches since a time, and how often we were interrupted before.
struct Window {
    started: Duration,
    images: usize,
    batches: usize,
    switches: u64,
}

impl Choice {
    /// One or two fewer leave a neighbour its core; half and one are for a machine with many of them.
    fn new(most: usize) -> Choice {
        let mut numbers = vec![most, most - 1, most.saturating_sub(2).max(1), most.div_ceil(2), 1];
        numbers.sort_unstable_by(|one, other| other.cmp(one));
        numbers.dedup();
        Choice {
            numbers,
            chosen: 0,
            speed: None,
            busy: false,
            tried: None,
            last_tried: 0,
            lost: 0.0,
            last_loss: None,
            failed: 0,
            window: None,
        }
    }

    /// The same, with another number chosen at first.
    fn starting_with(self, threads: usize) -> Choice {
        let index = self.numbers.iter().position(|&number| number == threads);
        Choice { chosen: index.unwrap_or(0), busy: index.is_some_and(|index| index > 0), ..self }
    }

    /// The number of threads for the next batch.
    fn threads(&self) -> usize {
        self.numbers[self.tried.map_or(self.chosen, |(tried, _)| tried)]
    }

    /// Starts measuring anew: what went on between two loops does not count.
    fn begin(&mut self) {
        self.tried = None;
        self.window = None;
    }

    /// Counts a batch. The first one after a change is not measured: libtorch prepares its kernels in it.
    fn after_batch(&mut self, images: usize, now: Duration, switches: u64) {
        let fresh = Window { started: now, images: 0, batches: 0, switches };
        let Some(window) = &mut self.window else {
            self.window = Some(fresh);
            return;
        };
        window.images += images;
        window.batches += 1;
        let seconds = now.saturating_sub(window.started).as_secs_f64().max(1e-9);
        let (speed, batches) = (window.images as f64 / seconds, window.batches);
        let hopeless =
            self.tried.is_some() && self.speed.is_some_and(|chosen| speed < HOPELESS * chosen);
        if (seconds < WINDOW.as_secs_f64() || batches < BATCHES) && !hopeless {
            return;
        }
        let switches_a_second = switches.saturating_sub(window.switches) as f64 / seconds;
        self.window = Some(fresh);
        match self.tried.take() {
            Some((tried, since)) => {
                self.attempted(tried, speed, now.saturating_sub(since).as_secs_f64());
            }
            None => {
                self.speed = Some(speed);
                // Of an attempt that is given up, two batches are lost at the worst.
                let loss = self.last_loss.unwrap_or(2.0 * seconds / batches as f64);
                let all = self.chosen == 0;
                self.busy = if all { switches_a_second > BUSY_SWITCHES } else { self.busy };
                let hope = BUSY_SHARE * 0.5_f64.powi(self.failed);
                let share = if all && self.busy { hope.max(QUIET_SHARE) } else { QUIET_SHARE };
                // The first attempt beside a busy program does not wait until two batches are a tenth of the time: of the
                // CNN's, 0.13 s each there, that would be two seconds and a half.
                let is_urgent = all && self.busy && self.last_loss.is_none();
                if is_urgent || self.lost + loss <= share * now.as_secs_f64() {
                    (self.tried, self.window) = (Some((self.next(), now)), None);
                }
            }
        }
    }

    /// Takes the number that was tried for so many seconds, if it is worth it.
    fn attempted(&mut self, tried: usize, speed: f64, seconds: f64) {
        let times = speed / self.speed.unwrap_or(speed);
        let loss = seconds * (1.0 - times).max(0.0);
        (self.lost, self.last_loss) = (self.lost + loss, Some(loss));
        if times > WORTH_A_CHANGE {
            (self.chosen, self.speed, self.failed) = (tried, Some(speed), 0);
        } else {
            (self.window, self.failed) = (None, self.failed + 1);
        }
    }

    /// The number to try: the next one that is not the chosen one.
    fn next(&mut self) -> usize {
        let count = self.numbers.len();
        self.last_tried = (self.last_tried + 1) % count;
        if self.last_tried == self.chosen {
            self.last_tried = (self.last_tried + 1) % count;
        }
        self.last_tried
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Images a second of a machine with so many threads, `seconds` after the start.
    type Machine = fn(threads: usize, seconds: f64) -> f64;

    /// Runs a loop over batches of 128 images for so many seconds; gives the share of `best` that it reached between
    /// `from` and the end, and the number of threads at the end.
    fn reached(most: usize, machine: Machine, from: f64, seconds: f64, best: f64) -> (f64, usize) {
        // Where all threads together are slower than fewer, others are there.
        let is_busy = |now: f64| machine(most, now) < machine(most - 1, now);
        reached_beside(most, machine, from, seconds, (best, &is_busy))
    }

    /// The same, where others take the processor from our threads at these times.
    fn reached_beside(
        most: usize,
        machine: Machine,
        from: f64,
        seconds: f64,
        (best, is_busy): (f64, &dyn Fn(f64) -> bool),
    ) -> (f64, usize) {
        let (mut choice, mut now, mut images, mut switches) = (Choice::new(most), 0.0, 0, 0);
        while now < seconds {
            let before = now;
            now += 128.0 / machine(choice.threads(), now);
            let busy = is_busy(before);
            switches += if busy { (500.0 * (now - before)).ceil() as u64 } else { 0 };
            choice.after_batch(128, Duration::from_secs_f64(now), switches);
            images += if before >= from { 128 } else { 0 };
        }
        (images as f64 / (now - from) / best, choice.threads())
    }

    #[test]
    fn on_a_quiet_machine_all_threads_work_at_no_cost() {
        // The networks of notebooks 6 and 4: two threads are 1.7 times as fast, or 1.06 times.
        let (cnn, threads) = reached(2, |t, _| [3_600.0, 6_100.0][t - 1], 0.0, 60.0, 6_100.0);
        assert!(cnn > 0.98 && threads == 2, "{cnn}");
        let (dense, _) = reached(2, |t, _| [74_000.0, 78_000.0][t - 1], 0.0, 60.0, 78_000.0);
        assert!(dense > 0.98, "{dense}");
        let (eight, threads) = reached(8, |t, _| 1_000.0 * t as f64, 0.0, 60.0, 8_000.0);
        assert!(eight > 0.98 && threads == 8, "{eight}");
    }

    /// Switches alone do not tell how much others take.
    #[test]
    fn where_many_short_switches_cost_nothing_attempts_become_rare() {
        let machine: Machine = |t, _| [3_600.0, 6_100.0][t - 1];
        let (cnn, threads) = reached_beside(2, machine, 0.0, 60.0, (6_100.0, &|_| true));
        assert!(cnn > 0.98 && threads == 2, "{cnn}");
    }

    #[test]
    fn beside_a_busy_neighbour_it_is_as_fast_as_the_best_number_of_threads() {
        let (dense, threads) = reached(2, |t, _| [70_000.0, 9_200.0][t - 1], 0.0, 20.0, 70_000.0);
        assert!(dense > 0.95 && threads == 1, "{dense}");
        // On eight cores the one that the neighbour has is given up, not all but one.
        let busy: Machine = |t, _| if t == 8 { 2_000.0 } else { 1_000.0 * t as f64 };
        let (eight, threads) = reached(8, busy, 0.0, 20.0, 7_000.0);
        assert!(eight > 0.9 && threads == 7, "{eight} {threads}");
    }

    /// The CNN of the benchmark: 128 images take 0.14 s with both threads.
    #[test]
    fn long_batches_beside_a_busy_neighbour_are_soon_those_of_one_thread() {
        let (cnn, threads) = reached(2, |t, _| [1_790.0, 900.0][t - 1], 0.0, 5.0, 1_790.0);
        assert!(cnn > 0.85 && threads == 1, "{cnn}");
    }

    #[test]
    fn threads_come_back_when_the_neighbour_has_gone() {
        let leaves: Machine = |t, seconds| match (t, seconds < 20.0) {
            (1, _) => 3_600.0,
            (_, true) => 1_470.0,
            (_, false) => 6_100.0,
        };
        let (beside, threads) = reached(2, leaves, 0.0, 20.0, 3_600.0);
        assert!(beside > 0.9 && threads == 1, "{beside}");
        let (after, threads) = reached(2, leaves, 40.0, 80.0, 6_100.0);
        assert!(after > 0.97 && threads == 2, "{after}");
    }

    #[test]
    fn libtorch_has_its_threads_again_afterwards_and_the_next_loop_knows_what_this_one_found() {
        let before = tch::get_num_threads();
        tch::set_num_threads(5);
        let now = Instant::now();
        for (found, first) in [
            (Some((3, 5, now)), 3),
            (Some((3, 6, now)), 5),
            (now.checked_sub(REMEMBERED).map(|then| (3, 5, then)), 5),
        ] {
            *LAST_FOUND.lock().unwrap() = found;
            assert_eq!(
                AdaptiveThreads::new().choice.as_ref().unwrap().threads(),
                first,
                "{found:?}"
            );
        }
        tch::set_num_threads(3);
        let mut threads = AdaptiveThreads::new();
        threads.enter();
        threads.choice.as_mut().unwrap().chosen = 2;
        threads.after_batch(1);
        assert_eq!(tch::get_num_threads(), 1);
        drop(threads);
        assert_eq!(tch::get_num_threads(), 3);
        tch::set_num_threads(before);
    }
}
