//! The time of a decision. A call of the host costs as much as a fifth of all that the module does for a request, so the clock
//! is read at first use, and not at all where a reading of an earlier decision gives the same answer.

use std::{cell::Cell, time::Duration};

use crate::{platform::Platform, time::UnixTime};

/// An earlier reading is used where the moment in question is farther away than this. The tick reads the clock once a
/// second; the rest is for a worker that is too busy to tick.
const MARGIN: Duration = Duration::from_secs(30);

/// The clock of a worker.
#[derive(Debug, Default)]
pub(super) struct Clock {
    reading: Cell<Option<UnixTime>>,
    is_of_this_decision: Cell<bool>,
}

impl Clock {
    /// Another decision begins.
    pub(super) fn forget(&self) {
        self.is_of_this_decision.set(false);
    }

    /// The time of this decision.
    #[inline(never)]
    pub(super) fn now(&self, platform: &dyn Platform) -> UnixTime {
        self.known().unwrap_or_else(|| {
            let now = platform.now();
            self.set(now);
            now
        })
    }

    /// Sets the time of this decision.
    pub(super) fn set(&self, now: UnixTime) {
        self.reading.set(Some(now));
        self.is_of_this_decision.set(true);
    }

    /// The time, to be compared with this moment and later ones: the present one, or an earlier one if they all lie far
    /// ahead of it.
    pub(super) fn now_near(&self, moment: UnixTime, platform: &dyn Platform) -> UnixTime {
        let earlier = self.reading.get().filter(|reading| reading.plus(MARGIN) < moment);
        self.known().or(earlier).unwrap_or_else(|| self.now(platform))
    }

    fn known(&self) -> Option<UnixTime> {
        self.reading.get().filter(|_| self.is_of_this_decision.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::testing::TestPlatform;

    const HOUR: UnixTime = UnixTime::from_secs(3600);

    /// A clock that was read at `HOUR`, in a decision that is over, and a platform whose time is `seconds` later.
    fn read_before(seconds: u64) -> (Clock, TestPlatform) {
        let (clock, platform) = (Clock::default(), TestPlatform::default());
        platform.time.set(HOUR);
        assert_eq!(clock.now(&platform), HOUR);
        clock.forget();
        platform.time.set(HOUR.plus(Duration::from_secs(seconds)));
        (clock, platform)
    }

    #[test]
    fn one_decision_reads_the_clock_once() {
        let (clock, platform) = read_before(1);
        assert_eq!(clock.now(&platform).as_secs(), 3601);
        platform.time.set(UnixTime::from_secs(9999));
        assert_eq!(clock.now(&platform).as_secs(), 3601);
        assert_eq!(clock.now_near(UnixTime::from_secs(3602), &platform).as_secs(), 3601);
    }

    #[test]
    fn a_distant_deadline_is_compared_without_reading_the_clock_again() {
        let (clock, platform) = read_before(1);
        assert_eq!(clock.now_near(HOUR.plus(MARGIN).plus(Duration::from_secs(1)), &platform), HOUR);
    }

    #[test]
    fn a_near_or_past_deadline_is_compared_with_a_new_clock_reading() {
        for moment in [HOUR.plus(MARGIN), HOUR.plus(Duration::from_secs(1)), HOUR, UnixTime::default()] {
            let (clock, platform) = read_before(1);
            assert_eq!(clock.now_near(moment, &platform).as_secs(), 3601, "{moment:?}");
        }
    }

    #[test]
    fn the_first_comparison_reads_the_clock() {
        let (clock, platform) = (Clock::default(), TestPlatform::default());
        platform.time.set(HOUR);
        assert_eq!(clock.now_near(UnixTime::from_secs(u64::MAX), &platform), HOUR);
    }
}
