//! Chooses the number of threads of a loop over batches, by measuring it while the loop runs.
//!
//! libtorch splits each operation into one part per thread and waits for the slowest part, dozens of times in a
//! training step. If another program occupies the core of one thread, all threads wait until that program's time slice
//! ends. `docs/performance.md` says what that costs, and what is gained here. So a loop now and then tries fewer
//! threads, and returns to the old number if they are not faster. Beside a busy program a loop starts with the number
//! that the previous loop found: a pass over the validation part is too short to try anything. Results do not depend on
//! the number of threads: the engine adds up its sums in a fixed order.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::background::foreground_switches;
use super::parallel::has_team;

/// Time that is measured for each number of threads: several of the system's time slices (3 to 4 ms each).
const WINDOW: Duration = Duration::from_millis(60);
/// Least number of batches that are measured.
const BATCHES: usize = 3;
/// How many times as fast another number must be; smaller differences are noise.
const WORTH_A_CHANGE: f64 = 1.1;
/// An attempt below this share of the usual speed is given up after one batch.
const HOPELESS: f64 = 0.7;
/// Share of the time that attempts may cost on a quiet machine.
const QUIET_SHARE: f64 = 0.01;
/// The same while all threads are in use and other programs interrupt them; halved after each attempt that gained
/// nothing.
const BUSY_SHARE: f64 = 0.1;
/// Involuntary context switches a second above which the machine counts as busy. Measured on two Zen 4 cores, training
/// the dense network and the CNN, in windows of tenths of a second: 30 to 100 on the quiet machine, 120 to 400 beside
/// one or two busy programs. With 50 the CNN lost 7% to attempts on that quiet machine.
const BUSY_SWITCHES: f64 = 110.0;

/// For how long the next loop starts with the number of threads that the last one found.
const REMEMBERED: Duration = Duration::from_secs(10);

/// The number of threads that was best beside a busy program, the number it was chosen from, and when.
static LAST_FOUND: Mutex<Option<(usize, usize, Instant)>> = Mutex::new(None);

/// Sets libtorch's number of threads, which is global to the process, between [`AdaptiveThreads::enter`] and
/// [`AdaptiveThreads::leave`].
pub(crate) struct AdaptiveThreads {
    /// libtorch's number of threads outside the loop.
    most: usize,
    choice: Option<ThreadChoice>,
    started: Instant,
}

impl AdaptiveThreads {
    /// Uses at most libtorch's current number of threads, and exactly that number if results would depend on it.
    pub(crate) fn new() -> AdaptiveThreads {
        let most = usize::try_from(tch::get_num_threads()).unwrap_or(1);
        let found = *LAST_FOUND.lock().unwrap_or_else(PoisonError::into_inner);
        let first = found.filter(|&(_, of, when)| of == most && when.elapsed() < REMEMBERED);
        let first = first.map_or(most, |(found, ..)| found);
        let choice = (most > 1 && has_team()).then(|| ThreadChoice::new(most).starting_with(first));
        AdaptiveThreads { most, choice, started: Instant::now() }
    }

    /// Sets the number of threads of this loop.
    pub(crate) fn enter(&mut self) {
        if let Some(choice) = &mut self.choice {
            choice.begin();
            set_num_threads(choice.threads());
        }
    }

    /// Call it after each batch.
    pub(crate) fn after_batch(&mut self, images: usize) {
        if let Some(choice) = &mut self.choice {
            let tried = choice.tried.is_some();
            choice.after_batch(images, self.started.elapsed(), foreground_switches());
            set_num_threads(choice.threads());
            if tried && choice.tried.is_none() {
                // Remembered only on a busy machine: on a quiet one it may be noise, or suit only this kind of work.
                let found = choice.busy.then(|| (choice.threads(), self.most, Instant::now()));
                *LAST_FOUND.lock().unwrap_or_else(PoisonError::into_inner) = found;
            }
        }
    }

    /// Resets libtorch's number of threads.
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

/// Changes nothing if the number is the same: libtorch drops its prepared kernels with each call.
fn set_num_threads(threads: usize) {
    if tch::get_num_threads() != threads as i32 {
        tch::set_num_threads(threads as i32);
    }
}

/// The choice of a number of threads, and what is known about the speeds. Times are since the start of the loop.
struct ThreadChoice {
    /// The numbers to choose from, the largest first.
    numbers: Vec<usize>,
    /// Index of the chosen one, and its images a second in the last window.
    chosen: usize,
    speed: Option<f64>,
    /// True if other programs interrupted the threads when all of them were last in use.
    busy: bool,
    /// Index of the number that is being tried, and since when.
    tried: Option<(usize, Duration)>,
    /// Index of the number that was tried last: the numbers are tried in turn.
    last_tried: usize,
    /// Seconds lost to all attempts so far, and to the last one.
    lost: f64,
    last_loss: Option<f64>,
    /// Attempts since the last one that led to a change.
    failed: i32,
    window: Option<Window>,
}

/// A measurement: images and batches since a time, and the context switches up to its start.
struct Window {
    started: Duration,
    images: usize,
    batches: usize,
    switches: u64,
}

impl ThreadChoice {
    /// One or two threads fewer leave a core to another program; half and one are for machines with many cores.
    fn new(most: usize) -> ThreadChoice {
        let mut numbers = vec![most, most - 1, most.saturating_sub(2).max(1), most.div_ceil(2), 1];
        numbers.sort_unstable_by(|one, other| other.cmp(one));
        numbers.dedup();
        ThreadChoice {
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

    /// The same, starting with this number if it is one of them.
    fn starting_with(self, threads: usize) -> ThreadChoice {
        let index = self.numbers.iter().position(|&number| number == threads);
        ThreadChoice {
            chosen: index.unwrap_or(0),
            busy: index.is_some_and(|index| index > 0),
            ..self
        }
    }

    /// The number of threads for the next batch.
    fn threads(&self) -> usize {
        self.numbers[self.tried.map_or(self.chosen, |(tried, _)| tried)]
    }

    /// Restarts the measurement: time between two loops does not count.
    fn begin(&mut self) {
        self.tried = None;
        self.window = None;
    }

    /// Counts a batch. The first batch after a change is not measured, because libtorch prepares its kernels in it.
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
                // An attempt that is given up costs two batches at most.
                let loss = self.last_loss.unwrap_or(2.0 * seconds / batches as f64);
                let all = self.chosen == 0;
                self.busy = if all { switches_a_second > BUSY_SWITCHES } else { self.busy };
                let hope = BUSY_SHARE * 0.5_f64.powi(self.failed);
                let share = if all && self.busy { hope.max(QUIET_SHARE) } else { QUIET_SHARE };
                // The first attempt beside a busy program does not wait until two batches are a tenth of the time: for
                // the CNN, at 0.13 s a batch, that would take two and a half seconds.
                let is_urgent = all && self.busy && self.last_loss.is_none();
                if is_urgent || self.lost + loss <= share * now.as_secs_f64() {
                    (self.tried, self.window) = (Some((self.next(), now)), None);
                }
            }
        }
    }

    /// Ends an attempt that took `seconds`; switches to the tried number if it was faster.
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

    /// The next number to try, other than the chosen one.
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

    /// Images per second of a machine with this many threads, `seconds` after the start.
    type Machine = fn(threads: usize, seconds: f64) -> f64;

    /// Runs a loop over batches of 128 images for this many seconds; returns the share of `best` that it reached
    /// between `from` and the end, and the number of threads at the end.
    fn reached(most: usize, machine: Machine, from: f64, seconds: f64, best: f64) -> (f64, usize) {
        // The machine counts as busy while all threads are slower than one fewer.
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
        let (mut choice, mut now, mut images, mut switches) = (ThreadChoice::new(most), 0.0, 0, 0);
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

    /// Context switches alone do not show how much time other programs take.
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
        // With eight cores, only the core that the other program uses is given up.
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
