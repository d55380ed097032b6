//! What the role of services can do, and how it is made.

use std::sync::Arc;

use sentinel_adapters::{
    credentials::Credentials,
    postgres::{Postgres, PostgresError},
};
use sentinel_domain::ports::AccountStore as _;

use crate::{account, contract::Recorder, fresh_database::Database, open, refused, whole};

#[tokio::test]
async fn services_read_and_write_rows_and_nothing_else() {
    let database = Database::make().await;
    let (postgres, _) = open(&database).await;
    postgres.create_account(account()).await.unwrap();
    // A table of a later migration, while services of before run.
    database.execute("CREATE TABLE later (id bigserial PRIMARY KEY, text text)").await;
    let mut service = database.service().await;
    let mut run = async |sql: &'static str| match sqlx::raw_sql(sql).execute(&mut service).await {
        Ok(_) => "done".to_owned(),
        Err(error) => error.as_database_error().unwrap().code().unwrap().into_owned(),
    };
    for allowed in [
        "SELECT * FROM accounts, _sqlx_migrations, schema_compatible_from",
        "INSERT INTO later (text) VALUES ('x')",
        "UPDATE later SET text = 'y'; DELETE FROM later",
        "CREATE TEMPORARY TABLE room AS SELECT 1",
    ] {
        assert_eq!(run(allowed).await, "done", "{allowed}");
    }
    for refused in [
        "CREATE TABLE mine (id int)",
        "ALTER TABLE accounts ADD mine int",
        "DROP TABLE accounts",
        "TRUNCATE accounts CASCADE",
        "DELETE FROM _sqlx_migrations",
        "UPDATE schema_compatible_from SET version = 99",
        "CREATE ROLE mine",
        "CREATE DATABASE mine",
        "COPY accounts TO PROGRAM 'true'",
        "SELECT * FROM pg_authid",
    ] {
        assert_eq!(run(refused).await, "42501", "insufficient_privilege: {refused}");
    }
    let error = Postgres::migrate(&database.config()).await.unwrap_err();
    assert!(error.to_string().contains("the right to create tables"), "{error}");

    // Another password, as when the Secret was replaced; and once more, as after an interruption.
    database.set_password("another");
    assert!(matches!(refused(&database).await, PostgresError::Refused { .. }));
    database.admit().await;
    database.admit().await;
    Postgres::connect(&database.config(), Arc::new(Recorder::default())).await.unwrap().check().await.unwrap();
}

#[tokio::test]
async fn who_may_not_make_roles_is_told_and_no_password_is() {
    let database = Database::make().await;
    database.migrate().await;
    let role = Credentials { username: "mine".into(), password: "a-password".into() };
    let error = Postgres::admit(&database.config(), &role).await.unwrap_err();
    let text = whole(&error);
    assert!(text.contains("role `mine`") && text.contains("must be a superuser"), "{text}");
    assert!(!text.contains("a-password"), "{text}");
}
