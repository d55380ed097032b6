//! What clients see and send.

use sentinel_domain::{
    ids::ChatId,
    notification::{self, MUTED_CHATS, MutedChat, Notification},
    quiet_hours::{OFFSET_MINUTES, QuietHours, ZoneName},
    time::Timestamp,
};
use sentinel_http::{
    problem::{Code, Problem},
    views::NotificationView,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

const MINUTES: u16 = 24 * 60;

/// A notification in the caller's list.
#[derive(Debug, Serialize, ToSchema)]
pub struct NotificationEntry {
    /// What it says.
    #[serde(flatten)]
    pub notification: NotificationView,
    /// Whether it was read.
    pub read: bool,
}

impl NotificationEntry {
    /// A notification; `content` is who wrote and what, if that may be shown.
    pub fn new(of: &Notification, content: Option<(&str, &str)>) -> Self {
        Self { notification: of.shown(content).into(), read: of.read }
    }
}

/// Some of the caller's notifications.
#[derive(Debug, Serialize, ToSchema)]
pub struct NotificationPage {
    /// The notifications, newest first.
    pub notifications: Vec<NotificationEntry>,
    /// Gives the next page; `null` on the last.
    pub next_cursor: Option<String>,
}

/// How the caller wants to be notified.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct PreferencesView {
    /// Whether notifications show who wrote and what; false by default.
    #[serde(default)]
    pub show_content: bool,
    /// When nothing is pushed to devices, every day; it may go over midnight.
    #[serde(default)]
    pub quiet_hours: Option<QuietHoursView>,
    /// Chats of which the caller hears nothing; at most 1,000.
    #[serde(default)]
    #[schema(max_items = 1000)]
    pub muted: Vec<MutedChatView>,
}

/// A part of each day, by the clock of `time_zone`, summer and winter; without that, by one that is ahead of UTC by
/// `utc_offset_minutes`; without both, by UTC.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct QuietHoursView {
    /// First minute of the day.
    #[schema(maximum = 1439)]
    pub from_minute: u16,
    /// The minute after the last; 1440 is midnight at the end of the day. The same as `from_minute`: no quiet hours.
    #[schema(maximum = 1440)]
    pub to_minute: u16,
    /// Minutes by which the user's clock is ahead of UTC (in a browser `-new Date().getTimezoneOffset()`); 0 by default.
    /// With `time_zone` it is only kept, for clients that know nothing else.
    #[serde(default)]
    #[schema(minimum = -840, maximum = 840)]
    pub utc_offset_minutes: i16,
    /// The user's time zone by its name in the IANA database (in a browser
    /// `Intl.DateTimeFormat().resolvedOptions().timeZone`). Answers have it if it was set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64, example = "Europe/Berlin")]
    pub time_zone: Option<String>,
}

/// A chat of which the caller hears nothing for a time.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct MutedChatView {
    /// Which one.
    #[schema(value_type = uuid::Uuid)]
    pub chat_id: ChatId,
    /// Until when.
    #[schema(format = DateTime)]
    pub until: String,
}

impl PreferencesView {
    /// Checks what a client sent.
    pub fn checked(self) -> Result<notification::Preferences, Problem> {
        if self.muted.len() > MUTED_CHATS {
            return Err(Problem::invalid("muted", Code::TooMany, format!("at most {MUTED_CHATS} chats can be muted")));
        }
        let quiet_hours = self.quiet_hours.map(QuietHoursView::checked).transpose()?;
        let muted = self.muted.into_iter().enumerate().map(|(place, chat)| chat.checked(place));
        Ok(notification::Preferences {
            show_content: self.show_content,
            quiet_hours,
            muted: muted.collect::<Result<_, _>>()?,
        })
    }
}

impl QuietHoursView {
    fn checked(self) -> Result<QuietHours, Problem> {
        let minutes = [("from_minute", self.from_minute, MINUTES - 1), ("to_minute", self.to_minute, MINUTES)];
        for (field, minute, most) in minutes {
            if minute > most {
                let detail = format!("{field} must be between 0 and {most}");
                return Err(Problem::invalid(format!("quiet_hours.{field}"), Code::OutOfRange, detail));
            }
        }
        if !(-OFFSET_MINUTES..=OFFSET_MINUTES).contains(&self.utc_offset_minutes) {
            let detail = format!("utc_offset_minutes must be between -{OFFSET_MINUTES} and {OFFSET_MINUTES}");
            return Err(Problem::invalid("quiet_hours.utc_offset_minutes", Code::OutOfRange, detail));
        }
        let zone = |name: String| {
            ZoneName::parse(&name).ok_or_else(|| {
                let detail = "write the name of a time zone of the IANA database, such as Europe/Berlin";
                Problem::invalid("quiet_hours.time_zone", Code::UnknownTimeZone, detail)
            })
        };
        let Self { from_minute, to_minute, utc_offset_minutes, time_zone } = self;
        Ok(QuietHours { from_minute, to_minute, utc_offset_minutes, time_zone: time_zone.map(zone).transpose()? })
    }
}

impl MutedChatView {
    fn checked(self, place: usize) -> Result<MutedChat, Problem> {
        let until = Timestamp::parse(&self.until).ok_or_else(|| {
            let detail = "write a time such as 2026-01-31T08:00:00Z";
            Problem::invalid(format!("muted[{place}].until"), Code::InvalidTime, detail)
        })?;
        Ok(MutedChat { chat_id: self.chat_id, until: until.0 })
    }
}

impl From<notification::Preferences> for PreferencesView {
    fn from(preferences: notification::Preferences) -> Self {
        let hours = |hours: QuietHours| {
            let QuietHours { from_minute, to_minute, utc_offset_minutes, time_zone } = hours;
            let time_zone = time_zone.map(|zone| zone.as_str().to_owned());
            QuietHoursView { from_minute, to_minute, utc_offset_minutes, time_zone }
        };
        let muted = |chat: MutedChat| MutedChatView { chat_id: chat.chat_id, until: Timestamp(chat.until).to_string() };
        Self {
            show_content: preferences.show_content,
            quiet_hours: preferences.quiet_hours.map(hours),
            muted: preferences.muted.into_iter().map(muted).collect(),
        }
    }
}
