//! What mails say: plain text in short sentences, the link on a line of its own.

use lettre::{
    Message,
    message::{Mailbox, header::ContentType},
};
use sentinel_domain::mail::LinkPurpose;
use uuid::Uuid;

use super::MailError;

/// A mail's subject and text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Letter {
    subject: &'static str,
    text: String,
}

impl Letter {
    /// The mail with a link. The token stands behind a `#`, which browsers send to no server. It greets without a name where
    /// that may be a stranger's words: readers of mail make a link of a name such as `win.prize.com`.
    pub fn of(purpose: LinkPurpose, username: Option<&str>, base_url: &str, token: &str) -> Self {
        let hello = username.map_or_else(|| "Hello".to_owned(), |username| format!("Hello {username}"));
        match purpose {
            LinkPurpose::VerifyEmail => Self {
                subject: "Confirm your address",
                text: format!(
                    "{hello},\n\nopen this link within 24 hours to confirm that this address is yours:\n\n\
                     {base_url}/#verify-email={token}\n\nIf you did not register, ignore this mail.\n"
                ),
            },
            LinkPurpose::ResetPassword => Self {
                subject: "Choose a new password",
                text: format!(
                    "{hello},\n\nopen this link within one hour to choose a new password:\n\n\
                     {base_url}/#reset-password={token}\n\nIf you did not ask for this, ignore this mail: your \
                     password stays as it is.\n"
                ),
            },
        }
    }

    pub fn to_message(&self, from: Mailbox, to: Mailbox, id: Uuid) -> Result<Message, MailError> {
        let domain = from.email.domain().to_owned();
        Message::builder()
            .from(from)
            .to(to)
            .subject(self.subject)
            // The same for every attempt, so that a receiver can tell that it has it already.
            .message_id(Some(format!("<{id}@{domain}>")))
            .header(ContentType::TEXT_PLAIN)
            .body(self.text.clone())
            .map_err(MailError::Letter)
    }
}

#[cfg(test)]
mod tests {
    use sentinel_domain::account::Email;

    use super::*;

    #[test]
    fn mail_can_be_written_to_every_address_that_an_account_may_have() {
        for address in
            ["ann@example.com", "o'neil+a/b=c@example.com", "zoë@bücher.example", "李@例え.jp", "a!#$%&*?^_`{|}~@x.co"]
        {
            let address = Email::parse(address).unwrap();
            let to = Mailbox::new(None, address.as_str().parse().unwrap());
            let letter = Letter::of(LinkPurpose::VerifyEmail, Some("ann"), "https://chat.example.com", "x");
            let message = letter.to_message("chat@example.com".parse().unwrap(), to, Uuid::nil()).unwrap();
            assert_eq!(message.envelope().to()[0].to_string(), address.as_str());
        }
    }

    #[test]
    fn a_mail_has_its_link_on_one_line() {
        let token = "x".repeat(43);
        for (purpose, place) in
            [(LinkPurpose::VerifyEmail, "verify-email"), (LinkPurpose::ResetPassword, "reset-password")]
        {
            let letter = Letter::of(purpose, None, "https://chat.example.com", &token);
            let link = format!("https://chat.example.com/#{place}={token}");
            assert!(letter.text.lines().any(|line| line == link), "{}", letter.text);
            let (from, to) = ("Chat <chat@example.com>".parse().unwrap(), "ann@example.com".parse().unwrap());
            let sent = String::from_utf8(letter.to_message(from, to, Uuid::nil()).unwrap().formatted()).unwrap();
            // As a reader shows it: quoted-printable (RFC 2045) undone.
            let sent = sent.replace("=\r\n", "").replace("=3D", "=");
            assert!(sent.contains("Message-ID: <00000000-0000-0000-0000-000000000000@example.com>"), "{sent}");
            assert!(sent.contains(&link), "{sent}");
        }
    }
}
