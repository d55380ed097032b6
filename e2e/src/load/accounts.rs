//! The accounts that write: made through the API, kept in a file for the next run.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};

use super::{api::answer, target::Target};

/// Registrations at the same time; hashing passwords keeps the server's core busy with one.
const REGISTERING: usize = 4;

/// An account with an access token, and the chat that it writes to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Account {
    /// Its id.
    pub user_id: String,
    /// Its access token.
    pub token: String,
    /// The chat with the other account of its pair.
    pub chat_id: String,
}

#[derive(Deserialize)]
struct Registered {
    user_id: String,
    access_token: String,
}

#[derive(Deserialize)]
struct Started {
    chat_id: String,
}

/// `clients` accounts in pairs: those of the file whose tokens are still good, else new ones.
pub async fn prepare(target: Target, clients: usize, file: Option<&Path>) -> Result<Vec<Account>> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let mut accounts = kept(&http, target, file).await;
    if accounts.len() < clients {
        eprintln!("registering {} accounts", clients - accounts.len());
        let pairs = (clients - accounts.len()).div_ceil(2);
        let made: Vec<[Account; 2]> =
            stream::iter((0..pairs).map(|_| pair(&http, target))).buffer_unordered(REGISTERING).try_collect().await?;
        accounts.extend(made.into_iter().flatten());
        if let Some(file) = file {
            fs::write(file, serde_json::to_vec(&accounts)?).with_context(|| format!("writing {}", file.display()))?;
        }
    }
    accounts.truncate(clients);
    Ok(accounts)
}

/// The accounts of an earlier run against the same data, unless their tokens expired.
async fn kept(http: &reqwest::Client, target: Target, file: Option<&Path>) -> Vec<Account> {
    let read = file.and_then(|file| fs::read(file).ok());
    let accounts: Vec<Account> = read.and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default();
    let Some(first) = accounts.first() else { return Vec::new() };
    match http.get(target.url("/me")).bearer_auth(&first.token).send().await {
        Ok(answer) if answer.status().is_success() => accounts,
        _ => Vec::new(),
    }
}

async fn pair(http: &reqwest::Client, target: Target) -> Result<[Account; 2]> {
    let (one, other) = (register(http, target).await?, register(http, target).await?);
    let request = http
        .post(target.url("/users/chat"))
        .bearer_auth(&one.access_token)
        .json(&serde_json::json!({ "receiver_id": other.user_id }));
    let Started { chat_id } = answer(request, "starting a chat").await?;
    let account =
        |from: Registered| Account { user_id: from.user_id, token: from.access_token, chat_id: chat_id.clone() };
    Ok([account(one), account(other)])
}

async fn register(http: &reqwest::Client, target: Target) -> Result<Registered> {
    let name = format!("load_{}", &uuid::Uuid::new_v4().simple().to_string()[..20]);
    let body = serde_json::json!({
        "username": name, "password": "load generator", "email": format!("{name}@example.com"),
    });
    answer(http.post(target.url("/register")).json(&body), "registering").await
}
