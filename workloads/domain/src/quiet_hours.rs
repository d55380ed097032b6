//! Quiet hours: the part of a user's day in which nothing is pushed.

use jiff::tz::{TimeZone, TimeZoneDatabase};
use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// Most minutes between UTC and a user's clock.
pub const OFFSET_MINUTES: i16 = 14 * 60;
/// Most bytes of a time zone's name; the longest of today has half as many.
pub const ZONE_NAME_BYTES: usize = 64;

/// A part of each day, by the clock on the user's wall; it may go over midnight.
///
/// When clocks go forward, minutes that are left out are in no part of that day; when they go back, minutes that come twice
/// are in it twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuietHours {
    /// First minute of the day (0 to 1439).
    pub from_minute: u16,
    /// The minute after the last (0 to 1440). The same as the first: there are none.
    pub to_minute: u16,
    /// Minutes by which the user's clock is ahead of UTC, at most [`OFFSET_MINUTES`] either way. They count where there is
    /// no time zone, or one that is not known here.
    #[serde(default)]
    pub utc_offset_minutes: i16,
    /// The user's time zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<ZoneName>,
}

/// The name of a time zone in the IANA database, such as `Europe/Berlin`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ZoneName(String);

impl QuietHours {
    /// Whether they are now.
    pub fn include(&self, now: Timestamp) -> bool {
        const MINUTES: i64 = 24 * 60;
        let ahead = self.time_zone.as_ref().and_then(|zone| zone.seconds_ahead(now));
        let ahead = ahead.unwrap_or(i32::from(self.utc_offset_minutes) * 60);
        let minute = (now.seconds() + i64::from(ahead)).div_euclid(60).rem_euclid(MINUTES);
        let (from, to) = (i64::from(self.from_minute), i64::from(self.to_minute));
        if from <= to { (from..to).contains(&minute) } else { minute >= from || minute < to }
    }
}

impl ZoneName {
    /// Takes a name, in upper or lower case, that the database has; old names, such as browsers still give, are among them.
    pub fn parse(name: &str) -> Option<Self> {
        (name.len() <= ZONE_NAME_BYTES && known(name).is_some()).then(|| Self(name.to_owned()))
    }

    /// It as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Seconds by which clocks there are ahead of UTC at a time; `None` when the zone is not known here: the name was stored
    /// by a version with another database.
    fn seconds_ahead(&self, at: Timestamp) -> Option<i32> {
        let at = jiff::Timestamp::from_second(at.seconds()).ok()?;
        Some(known(&self.0)?.to_offset(at).seconds())
    }
}

/// From the database in the program: that of the system may be missing or lack old names, and nodes are to agree.
fn known(name: &str) -> Option<TimeZone> {
    TimeZoneDatabase::bundled().get(name).ok().filter(|zone| !zone.is_unknown())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(zone: &str, from_minute: u16, to_minute: u16) -> QuietHours {
        let time_zone = Some(ZoneName::parse(zone).unwrap());
        QuietHours { from_minute, to_minute, utc_offset_minutes: 0, time_zone }
    }

    /// That hours begin and end at these times, each of which is the first second of its kind.
    fn assert_turns(hours: &QuietHours, turns: &[(&str, bool)]) {
        for (at, quiet) in turns {
            let at = Timestamp::parse(at).unwrap();
            let around = (hours.include(at.plus_seconds(-1)), hours.include(at));
            assert_eq!(around, (!quiet, *quiet), "{:?} at {at}", hours.time_zone);
        }
    }

    #[test]
    fn they_may_go_over_midnight() {
        let at = |minute: i64| Timestamp(minute * 60_000);
        let quiet =
            |from_minute, to_minute| QuietHours { from_minute, to_minute, utc_offset_minutes: 0, time_zone: None };
        let night = quiet(22 * 60, 7 * 60);
        assert!(night.include(at(23 * 60)) && night.include(at(24 * 60)) && night.include(at(24 * 60 + 419)));
        assert!(!night.include(at(7 * 60)) && !night.include(at(21 * 60 + 59)));
        let evening = quiet(22 * 60, 24 * 60);
        assert!(evening.include(at(24 * 60 - 1)) && !evening.include(at(24 * 60)));
        assert!((0..24 * 60).all(|minute| quiet(0, 24 * 60).include(at(minute)) && !quiet(60, 60).include(at(minute))));
        let noon = quiet(720, 780);
        assert!(noon.include(at(720)) && !noon.include(at(780)));
        // 22:00 in Kolkata is 16:30 in UTC.
        let ahead = QuietHours { utc_offset_minutes: 330, ..night };
        assert!(ahead.include(at(16 * 60 + 30)) && !ahead.include(at(16 * 60 + 29)));
        assert!(ahead.include(at(89)) && !ahead.include(at(90)));
    }

    #[test]
    fn they_stay_at_the_same_time_of_day_when_clocks_change() {
        let northern = [
            ("2026-03-27T21:00:00Z", true),
            ("2026-03-28T06:00:00Z", false),
            ("2026-03-28T21:00:00Z", true),
            // This night is an hour shorter.
            ("2026-03-29T05:00:00Z", false),
            ("2026-03-29T20:00:00Z", true),
            ("2026-10-24T20:00:00Z", true),
            // This one is an hour longer.
            ("2026-10-25T06:00:00Z", false),
            ("2026-10-25T21:00:00Z", true),
        ];
        assert_turns(&hours("Europe/Berlin", 22 * 60, 7 * 60), &northern);
        let southern = [
            ("2026-04-04T11:00:00Z", true),
            ("2026-04-04T21:00:00Z", false),
            ("2026-04-05T12:00:00Z", true),
            ("2026-10-03T12:00:00Z", true),
            ("2026-10-03T20:00:00Z", false),
            ("2026-10-04T11:00:00Z", true),
        ];
        assert_turns(&hours("Australia/Sydney", 22 * 60, 7 * 60), &southern);
    }

    #[test]
    fn zones_may_be_ahead_by_half_an_hour_and_change_by_one() {
        let kolkata = hours("Asia/Kolkata", 22 * 60, 7 * 60);
        assert_turns(&kolkata, &[("2026-07-01T16:30:00Z", true), ("2026-07-02T01:30:00Z", false)]);
        let lord_howe = [
            ("2026-04-04T11:00:00Z", true),
            ("2026-04-04T20:30:00Z", false),
            ("2026-04-05T11:30:00Z", true),
            ("2026-04-05T20:30:00Z", false),
        ];
        assert_turns(&hours("Australia/Lord_Howe", 22 * 60, 7 * 60), &lord_howe);
    }

    #[test]
    fn what_the_clock_leaves_out_is_left_out_and_what_it_shows_twice_counts_twice() {
        // In Berlin, 02:00 to 03:00 does not exist on this day.
        let begins_within = hours("Europe/Berlin", 2 * 60 + 30, 4 * 60);
        assert_turns(&begins_within, &[("2026-03-29T01:00:00Z", true), ("2026-03-29T02:00:00Z", false)]);
        let ends_within = hours("Europe/Berlin", 60, 2 * 60 + 30);
        assert_turns(&ends_within, &[("2026-03-29T00:00:00Z", true), ("2026-03-29T01:00:00Z", false)]);
        let within = hours("Europe/Berlin", 2 * 60 + 15, 2 * 60 + 45);
        let midnight = Timestamp::parse("2026-03-28T23:00:00Z").unwrap();
        assert!((0..23 * 60).all(|minute| !within.include(midnight.plus_seconds(minute * 60))));
        // On this day it comes twice.
        let twice = [
            ("2026-10-25T00:15:00Z", true),
            ("2026-10-25T00:45:00Z", false),
            ("2026-10-25T01:15:00Z", true),
            ("2026-10-25T01:45:00Z", false),
        ];
        assert_turns(&within, &twice);
        // What goes on all the while is not interrupted.
        let across = hours("Europe/Berlin", 60, 3 * 60 + 1);
        assert_turns(&across, &[("2026-10-24T23:00:00Z", true), ("2026-10-25T02:01:00Z", false)]);
        let one = Timestamp::parse("2026-10-24T23:00:00Z").unwrap();
        assert!((0..181).all(|minute| across.include(one.plus_seconds(minute * 60))));
    }

    #[test]
    fn the_zone_decides_unless_it_is_not_known() {
        // 22:00 in Berlin's summer is 20:00 in UTC; ten hours ahead it is noon there.
        let at = Timestamp::parse("2026-07-01T20:00:00Z").unwrap();
        let both = QuietHours { utc_offset_minutes: -600, ..hours("Europe/Berlin", 22 * 60, 23 * 60) };
        assert!(both.include(at) && !both.include(at.plus_seconds(12 * 3600)));
        let of_another_version = QuietHours { time_zone: Some(ZoneName("Europe/Atlantis".into())), ..both };
        assert!(!of_another_version.include(at) && of_another_version.include(at.plus_seconds(12 * 3600)));
    }

    #[test]
    fn names_are_those_of_the_database() {
        // The third is what browsers call Asia/Kolkata.
        for name in ["Europe/Berlin", "UTC", "Asia/Calcutta", "America/Argentina/ComodRivadavia", "europe/berlin"] {
            assert_eq!(ZoneName::parse(name).unwrap().as_str(), name);
        }
        let long = "Europe/".repeat(20);
        for name in ["", "Berlin", "Europe/Berlin ", "Etc/Unknown", "+02:00", "CET-1CEST", "../UTC", "Europe", &long] {
            assert_eq!(ZoneName::parse(name), None, "{name}");
        }
    }

    #[test]
    fn what_was_stored_before_there_were_zones_is_read_and_written_as_it_was() {
        for (stored, offset) in [
            (r#"{"from_minute":1320,"to_minute":420,"utc_offset_minutes":60}"#, 60),
            (r#"{"from_minute":1320,"to_minute":420}"#, 0),
        ] {
            let read: QuietHours = serde_json::from_str(stored).unwrap();
            assert_eq!((read.utc_offset_minutes, &read.time_zone), (offset, &None));
            let written = format!(r#"{{"from_minute":1320,"to_minute":420,"utc_offset_minutes":{offset}}}"#);
            assert_eq!(serde_json::to_string(&read).unwrap(), written, "so its fingerprint is the same");
        }
    }
}
