//! Dates in UTC, as text.

use std::fmt;

const DAY_MS: i64 = 86_400_000;
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// A moment of the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Date {
    year: i64,
    /// From 0.
    month: usize,
    day: i64,
    weekday: usize,
    second_of_day: i64,
    millisecond: i64,
}

impl Date {
    pub(crate) fn from_wall_ms(wall_ms: i64) -> Self {
        let days = wall_ms.div_euclid(DAY_MS);
        let in_day = wall_ms.rem_euclid(DAY_MS);
        let (year, month, day) = civil(days);
        Self {
            year,
            month,
            day,
            weekday: usize::try_from(days.rem_euclid(7)).unwrap_or(0),
            second_of_day: in_day / 1000,
            millisecond: in_day % 1000,
        }
    }

    /// As Java prints a date: `Thu Nov 26 10:54:12 UTC 2026`.
    pub(crate) fn java(self) -> String {
        let (weekday, month) = (WEEKDAYS[self.weekday], MONTHS[self.month]);
        let (hour, minute, second) = self.time();
        let (day, year) = (self.day, self.year);
        format!("{weekday} {month} {day:02} {hour:02}:{minute:02}:{second:02} UTC {year}")
    }

    fn time(self) -> (i64, i64, i64) {
        let second = self.second_of_day;
        (second / 3600, second / 60 % 60, second % 60)
    }
}

/// RFC 3339, with milliseconds.
impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hour, minute, second) = self.time();
        let (year, month, day) = (self.year, self.month + 1, self.day);
        let ms = self.millisecond;
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z"
        )
    }
}

/// Year, month from 0, and day of the month, so many days after 1970-01-01. Years
/// are counted from March, which puts the leap day at the end.
fn civil(days: i64) -> (i64, usize, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12;
    let year = era * 400 + year_of_era + i64::from(month < 2);
    (year, usize::try_from(month).unwrap_or(0), day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (wall_ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(Date::from_wall_ms(wall_ms).to_string(), text);
        }
        let date = Date::from_wall_ms(1_795_690_452_000);
        assert_eq!(date.java(), "Thu Nov 26 10:54:12 UTC 2026");
    }
}
