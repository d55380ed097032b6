//! The codes by which clients know what went wrong: every one there is, with what the guide says of it.

/// Lists codes: the name in the sources, the one that clients see, what it comes with, and what a client is to do.
macro_rules! codes {
    ($($code:ident $name:literal, $comes_with:literal, $to_do:literal;)*) => {
        /// What went wrong, for programs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code {
            $(#[doc = $to_do] $code,)*
        }

        impl Code {
            /// All of them, by name.
            pub const ALL: &'static [Self] = &[$(Self::$code),*];
        }

        /// What is known of each code.
        const KNOWN: &[Known] = &[$(Known { name: $name, comes_with: $comes_with, to_do: $to_do }),*];
    };
}

struct Known {
    name: &'static str,
    comes_with: &'static str,
    to_do: &'static str,
}

codes! {
    AccountDisabled "account_disabled", "403", "the password is right, but an administrator disabled the account: ask them";
    AlreadyResolved "already_resolved", "409", "another administrator was faster: load the list anew";
    AlreadyVerified "already_verified", "409", "nothing: the address is confirmed";
    Blocked "blocked", "403", "one of you blocks the other: nothing can be sent until that is taken back";
    BodyTooLarge "body_too_large", "413", "send a smaller body";
    BrokenPicture "broken_picture", "422", "save the picture anew, or put it into an archive";
    CannotBlockSelf "cannot_block_self", "422", "give another account";
    CannotReportSelf "cannot_report_self", "422", "give another account or message";
    ClientMessageIdTaken "client_message_id_taken", "409", "a message of another chat has this `client_message_id`: give each an id of its own";
    ConflictingParameters "conflicting_parameters", "422", "give one of `before`, `after`, `around` and `cursor`";
    DirectoryClosed "directory_closed", "403", "look people up by name or prefix";
    DuplicateField "duplicate_field", "`errors`", "send the field once";
    EmailTaken "email_taken", "409", "another address, or log in";
    EmptyFile "empty_file", "422", "a file has at least one byte";
    EmptyMessage "empty_message", "422", "give text or an attachment";
    EmptyQuery "empty_query", "422", "look for a letter, a digit or a symbol";
    EndpointNotAllowed "endpoint_not_allowed", "422", "subscribe in another browser, or do without pushes";
    FileTooLarge "file_too_large", "413", "send a smaller file";
    Forbidden "forbidden", "403", "give your own id or none; what is for authors or administrators is not for you";
    Incomplete "incomplete", "422", "give `chat_id` and `message_id` together";
    Internal "internal", "500", "try again; tell whoever runs the deployment if it stays so";
    InvalidAvatarUrl "invalid_avatar_url", "422", "give an address as `detail` says";
    InvalidClientMessageId "invalid_client_message_id", "422", "1 to 128 printable ASCII characters";
    InvalidContentType "invalid_content_type", "422", "give a type such as `image/jpeg`";
    InvalidCredentials "invalid_credentials", "401, 403", "name or password is wrong, or the password was changed meanwhile: ask your user";
    InvalidCursor "invalid_cursor", "400", "a list: start again without it; `since`: see [Catch up](#catch-up)";
    InvalidDisplayName "invalid_display_name", "422", "1 to 64 visible characters";
    InvalidEmail "invalid_email", "422", "give an address such as `ann@example.com`";
    InvalidField "invalid_field", "`errors`", "what `detail` says";
    InvalidFilename "invalid_filename", "422", "1 to 255 bytes, no path, no control characters";
    InvalidHost "invalid_host", "400", "send the `Host` that you call";
    InvalidLink "invalid_link", "400, 403", "ask for another mail; begin the upload anew, or ask for the file's details again";
    InvalidNote "invalid_note", "422", "as long as `detail` says, without control characters";
    InvalidPassword "invalid_password", "422", "8 to 128 bytes";
    InvalidRange "invalid_range", "416", "ask for a range inside the file";
    InvalidRefreshToken "invalid_refresh_token", "401", "log in";
    InvalidRequest "invalid_request", "422", "`errors` names the fields and what is wrong";
    InvalidSha256 "invalid_sha256", "422", "64 hexadecimal digits";
    InvalidTime "invalid_time", "422", "a time of RFC 3339";
    InvalidTimestamp "invalid_timestamp", "422", "a time such as `2024-01-27T15:26:40.007Z`";
    InvalidToken "invalid_token", "401, connect, event", "refresh, or log in";
    InvalidUsername "invalid_username", "422", "3 to 32 letters a-z, digits, dots or underscores";
    IsAdmin "is_admin", "409", "take the account's rights first";
    MailDisabled "mail_disabled", "403", "do not offer it: nobody gets mail here";
    Malformed "malformed", "422, event", "what `detail` says; an event carries one JSON object";
    MalformedJson "malformed_json", "400", "send one JSON object";
    MalformedPath "malformed_path", "400", "the path must be UTF-8";
    MessageDeleted "message_deleted", "409", "forget the message";
    MessageTooLarge "message_too_large", "413", "a shorter text";
    MethodNotAllowed "method_not_allowed", "405", "see `Allow`";
    Missing "missing", "422", "give the field that `errors` names";
    MissingField "missing_field", "`errors`", "give it";
    MissingResolution "missing_resolution", "422", "say what was done";
    MissingToken "missing_token", "401, connect", "send the access token";
    NotAvailable "not_available", "event", "presence is not offered by this server";
    NotForOne "not_for_one", "422", "leave out `cursor` to tell one user";
    NotFound "not_found", "404", "it does not exist, or is not yours to see";
    NotOffered "not_offered", "422", "do without pushes of this platform";
    NotTheAuthor "not_the_author", "422", "leave out `user_id`";
    OutOfRange "out_of_range", "422", "a number as `detail` says";
    PictureTooLarge "picture_too_large", "413", "fewer pixels";
    PreferencesChanged "preferences_changed", "412", "get them, change them and put them again";
    PrefixTooShort "prefix_too_short", "422", "2 characters or more";
    QueryTooLong "query_too_long", "422", "a shorter `q`";
    QuotaExceeded "quota_exceeded", "403", "make room: delete messages with files, give up uploads";
    RateLimited "rate_limited", "429", "wait `Retry-After` seconds";
    RefreshExpired "refresh_expired", "401", "log in";
    RefreshReused "refresh_reused", "401", "log in; the session has ended";
    Refused "refused", "any other", "see the status";
    RegistrationClosed "registration_closed", "403", "accounts are made by whoever runs the deployment";
    ReindexRunning "reindex_running", "409", "wait for its end";
    SearchOutdated "search_outdated", "503", "whoever runs the deployment makes the index anew";
    SessionEnded "session_ended", "401, connect, event", "log in";
    Timeout "timeout", "408, 503", "try again";
    TokenExpired "token_expired", "401, connect, event", "refresh";
    TooMany "too_many", "422", "fewer at once, as `detail` says";
    TooManyAttachments "too_many_attachments", "422", "at most ten, each once";
    TooManyEvents "too_many_events", "event", "send the rest when those before are acknowledged";
    TooManySockets "too_many_sockets", "connect", "close one, or connect again in a minute";
    TooManySubscriptions "too_many_subscriptions", "event", "unsubscribe from users that are not shown";
    TooManyUploads "too_many_uploads", "429, 503", "wait `Retry-After` seconds, send again";
    Unavailable "unavailable", "503", "try again, with the same `client_message_id`";
    UnknownAttachment "unknown_attachment", "422", "upload the file again";
    UnknownEvent "unknown_event", "event", "see `/asyncapi.json`";
    UnknownReply "unknown_reply", "422", "leave out `reply_to`";
    UnknownTimeZone "unknown_time_zone", "422", "leave out `time_zone`";
    UnreadableBody "unreadable_body", "400", "send the body again";
    UnsupportedMediaType "unsupported_media_type", "415", "send `content-type: application/json`";
    UploadMissing "upload_missing", "409", "put the bytes, then complete";
    UploadRunning "upload_running", "409", "let the other one end";
    UploadSent "upload_sent", "409", "delete the message that shows it";
    UploadTooSlow "upload_too_slow", "408", "send all bytes again";
    UsernameTaken "username_taken", "409", "another name, or log in";
    WrongContentType "wrong_content_type", "422", "upload what was announced, or begin anew with the right type";
    WrongHash "wrong_hash", "422", "upload it again";
    WrongSize "wrong_size", "413, 422", "send exactly the `size` that was announced";
    WrongType "wrong_type", "422", "leave out `type`";
}

impl Code {
    /// As clients see it; stable.
    pub const fn as_str(self) -> &'static str {
        self.known().name
    }

    /// Whether it may come with a status. An acknowledgement has none, so that what is told of events may have any.
    pub fn comes_with(self, status: u16) -> bool {
        let statuses = self.known().comes_with.split(", ");
        statuses.into_iter().any(|one| ["event", "any other"].contains(&one) || one.parse() == Ok(status))
    }

    const fn known(self) -> &'static Known {
        &KNOWN[self as usize]
    }

    /// The guide's table of all codes, in Markdown.
    pub fn table() -> String {
        let mut table = String::from("| code | comes with | what to do |\n|---|---|---|\n");
        for Known { name, comes_with, to_do } in KNOWN {
            table.push_str(&["| `", name, "` | ", comes_with, " | ", to_do, " |\n"].concat());
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_has_each_code_once() {
        let names: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert!(names.is_sorted_by(|one, next| one < next), "{names:?}");
    }

    #[test]
    fn a_code_comes_with_its_own_statuses() {
        assert!(Code::WrongSize.comes_with(413) && Code::WrongSize.comes_with(422) && !Code::WrongSize.comes_with(400));
        assert!(Code::Refused.comes_with(418) && Code::TooManyEvents.comes_with(429));
        assert!(!Code::MissingField.comes_with(422), "it is in the list of fields alone");
    }
}
