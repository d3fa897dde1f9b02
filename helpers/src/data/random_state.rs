//! NumPy's legacy random numbers: the same integer seed gives the same permutations as `numpy.random.RandomState`.
//!
//! scikit-learn shuffles with it wherever an integer `random_state` is given, so the splits and folds of this crate
//! hold the same images as a Python solution with the same seed.

use crate::error::{Error, Result};

const STATE_WORDS: usize = 624;
const MIDDLE: usize = 397;

/// The Mersenne Twister MT19937, seeded and read as NumPy's `RandomState` does.
#[derive(Clone)]
pub struct RandomState {
    words: Box<[u32; STATE_WORDS]>,
    next: usize,
}

impl RandomState {
    /// The state that `numpy.random.RandomState(seed)` starts in.
    ///
    /// # Errors
    /// If `seed` does not fit into 32 bits: NumPy refuses such seeds too.
    pub fn new(seed: u64) -> Result<RandomState> {
        let Ok(seed) = u32::try_from(seed) else {
            let expected = format!("between 0 and {}", u32::MAX);
            let advice = "NumPy takes 32-bit seeds only; 42 will do";
            return Err(Error::parameter("seed", expected, seed, advice));
        };
        let mut words = Box::new([0; STATE_WORDS]);
        let mut word = seed;
        for (index, slot) in words.iter_mut().enumerate() {
            *slot = word;
            word =
                1_812_433_253_u32.wrapping_mul(word ^ (word >> 30)).wrapping_add(index as u32 + 1);
        }
        Ok(RandomState { words, next: STATE_WORDS })
    }

    /// The next 32 random bits.
    pub fn next_u32(&mut self) -> u32 {
        if self.next == STATE_WORDS {
            self.refill();
        }
        let mut word = self.words[self.next];
        self.next += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c_5680;
        word ^= (word << 15) & 0xefc6_0000;
        word ^ (word >> 18)
    }

    /// A whole number in `0..=largest`, each equally likely.
    ///
    /// Bits beyond those of `largest` are masked off and numbers above it drawn again, as NumPy's legacy functions do.
    pub fn interval(&mut self, largest: u64) -> u64 {
        if largest == 0 {
            return 0;
        }
        let mask = u64::MAX >> largest.leading_zeros();
        loop {
            let bits = if mask <= u64::from(u32::MAX) {
                u64::from(self.next_u32())
            } else {
                (u64::from(self.next_u32()) << 32) | u64::from(self.next_u32())
            };
            if bits & mask <= largest {
                return bits & mask;
            }
        }
    }

    /// A number in `0.0..1.0` with 53 random bits, as `RandomState.random_sample()` gives it.
    pub fn random_sample(&mut self) -> f64 {
        let (high, low) = (self.next_u32() >> 5, self.next_u32() >> 6);
        (f64::from(high) * f64::from(1 << 26) + f64::from(low)) / (1_u64 << 53) as f64
    }

    /// Shuffles in place, as `RandomState.shuffle` does.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.interval(last as u64) as usize;
            items.swap(last, other);
        }
    }

    /// `0..n` in random order, as `RandomState.permutation(n)` gives it.
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        self.shuffle(&mut order);
        order
    }

    /// `count` different items in random order, as `RandomState.choice(items, count, replace=False)` gives them.
    ///
    /// `count` is at most the number of items.
    pub fn choice(&mut self, items: &[usize], count: usize) -> Vec<usize> {
        self.permutation(items.len())[..count].iter().map(|&index| items[index]).collect()
    }

    fn refill(&mut self) {
        for index in 0..STATE_WORDS {
            let word = (self.words[index] & 0x8000_0000)
                | (self.words[(index + 1) % STATE_WORDS] & 0x7fff_ffff);
            let twist = if word & 1 == 1 { 0x9908_b0df } else { 0 };
            self.words[index] = self.words[(index + MIDDLE) % STATE_WORDS] ^ (word >> 1) ^ twist;
        }
        self.next = 0;
    }
}

impl std::fmt::Debug for RandomState {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "RandomState (MT19937, word {} of {STATE_WORDS})", self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_the_published_first_word_of_the_reference_seed() {
        // The first output of MT19937 for seed 5489, from the C++ standard's `std::mt19937`.
        assert_eq!(RandomState::new(5489).unwrap().next_u32(), 3_499_211_612);
    }

    #[test]
    fn the_ten_thousandth_word_is_the_one_the_cpp_standard_names() {
        let mut random = RandomState::new(5489).unwrap();
        let last = (0..10_000).map(|_| random.next_u32()).last();
        assert_eq!(last, Some(4_123_659_995));
    }

    #[test]
    fn seeds_beyond_32_bits_are_refused() {
        let text = RandomState::new(1 << 32).unwrap_err().to_string();
        assert_eq!(
            text,
            "`seed` must be between 0 and 4294967295, got 4294967296; NumPy takes 32-bit seeds only; 42 will do"
        );
    }

    #[test]
    fn an_interval_of_nothing_draws_nothing() {
        let mut random = RandomState::new(1).unwrap();
        let mut same = random.clone();
        assert_eq!(random.interval(0), 0);
        assert_eq!(random.next_u32(), same.next_u32());
    }

    #[test]
    fn a_choice_has_no_item_twice() {
        let mut chosen = RandomState::new(3).unwrap().choice(&[5, 7, 11, 13, 17], 4);
        chosen.sort_unstable();
        chosen.dedup();
        assert_eq!(chosen.len(), 4);
    }
}
