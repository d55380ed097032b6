//! What the gateway is told for which resource.

use sentinel_operator::{build::cluster_dns_of, cluster_dns::ClusterDns, render, settings::Settings};

fn config(spec: &str) -> String {
    config_with(spec, &Settings::default())
}

fn config_with(spec: &str, settings: &Settings) -> String {
    rendered(spec, settings, "ConfigMap", "chat-gateway")["data"]["nginx.conf"].as_str().unwrap().to_owned()
}

fn rendered(spec: &str, settings: &Settings, kind: &str, name: &str) -> serde_json::Value {
    let text = format!(
        "apiVersion: chat.sentinel.dev/v1alpha1\nkind: SentinelChat\nmetadata: {{name: chat, namespace: team}}\nspec: {spec}\n"
    );
    let chat = render::parse(&text).unwrap().remove(0);
    let objects = render::render(&chat, settings).unwrap();
    let wanted = |o: &&serde_json::Value| o["kind"] == kind && o["metadata"]["name"] == name;
    objects.iter().find(wanted).unwrap().clone()
}

/// What the platform is told.
fn platform(spec: &str) -> serde_json::Value {
    let map = rendered(spec, &Settings::default(), "ConfigMap", "chat-config");
    serde_json::from_str(map["data"]["sentinel.json"].as_str().unwrap()).unwrap()
}

#[test]
fn no_placeholder_is_left_and_braces_match() {
    let tls = DISTRIBUTED.replacen('{', "{gateway: {host: a.example.com, tls: {secret: {name: t}}}, ", 1);
    let dns = ClusterDns { servers: vec!["10.96.0.10".parse().unwrap()], domain: "cluster.local".into() };
    for spec in [
        "{}",
        "{gateway: {host: a.example.com, tls: {secret: {name: t}}}}",
        "{gateway: {host: a.example.com, tls: {secret: {name: t}}, ingress: {}}}",
        DISTRIBUTED,
        tls.as_str(),
    ] {
        for cluster_dns in [None, Some(dns.clone())] {
            let config = config_with(spec, &Settings { cluster_dns, ..Settings::default() });
            let left = config
                .split(|c: char| !c.is_ascii_uppercase() && c != '@' && c != '_')
                .find(|word| word.len() > 2 && word.starts_with('@') && word.ends_with('@'));
            assert_eq!(left, None, "{config}");
            assert_eq!(config.matches('{').count(), config.matches('}').count());
        }
    }
    assert!(config("{}").contains("server chat-sentinel.team.svc:8080"));
}

#[test]
fn a_client_cannot_forge_its_address_and_an_ingress_can_tell_it() {
    let direct = config("{}");
    assert!(direct.contains("proxy_set_header X-Forwarded-For $remote_addr;"));
    assert!(!direct.contains("set_real_ip_from"));
    assert!(!direct.contains("$http_x_request_id;\n    }"), "the request id of a client is not taken over");
    let behind = config("{gateway: {host: a.example.com, ingress: {}}}");
    assert!(behind.contains("set_real_ip_from 10.0.0.0/8;"));
    assert!(behind.contains("real_ip_header X-Forwarded-For;"));
    let balanced = config("{gateway: {trustedProxies: [203.0.113.0/24]}}");
    assert!(balanced.contains("set_real_ip_from 203.0.113.0/24;") && !balanced.contains("10.0.0.0/8"));
}

#[test]
fn the_gateway_terminates_tls_only_without_an_ingress() {
    let own = config("{gateway: {host: a.example.com, tls: {secret: {name: t}}}}");
    assert!(own.contains("listen 8443 ssl;") && own.contains("return 308 https://$host$request_uri;"));
    let ingress = config("{gateway: {host: a.example.com, tls: {secret: {name: t}}, ingress: {}}}");
    assert!(!ingress.contains("ssl"));
}

#[test]
fn limits_and_logs_are_as_promised() {
    let config = config("{limits: {bodyBytes: 1000000}}");
    assert!(config.contains("client_max_body_size 1004096;"));
    assert!(config.contains("proxy_read_timeout 90s;"));
    let log = &config[config.find("log_format").unwrap()..config.find("access_log").unwrap()];
    for leak in [
        "$request_uri",
        "$args",
        "$query_string",
        "\"$request\"",
        "$http_authorization",
        "$http_cookie",
        "$http_referer",
    ] {
        assert!(!log.contains(leak), "{leak} is logged");
    }
}

#[test]
fn the_web_client_is_the_platforms_with_its_own_policy() {
    let config = config("{}");
    assert!(!config.contains("location = / {") && !config.contains("root "), "{config}");
    // One policy: the page's own where it has one.
    assert_eq!(config.matches("add_header Content-Security-Policy").count(), 1);
    assert!(config.contains("map $upstream_http_content_security_policy $content_policy {"));
    assert!(config.contains("add_header Content-Security-Policy $content_policy always;"));
    assert!(!config.contains("proxy_hide_header Content-Security-Policy"));
    for (spec, folder) in [("{}", Some("/usr/share/sentinel/web")), ("{web: {enabled: false}}", None)] {
        assert_eq!(platform(spec)["webDir"].as_str(), folder, "{spec}");
    }
}

#[test]
fn a_known_name_server_is_asked_again_and_again() {
    let dns = ClusterDns { servers: vec!["10.96.0.10".parse().unwrap()], domain: "cluster.local".into() };
    let config = config_with("{}", &Settings { cluster_dns: Some(dns), ..Settings::default() });
    assert!(config.contains("resolver 10.96.0.10 valid=5s ipv6=off;"));
    assert!(config.contains("default chat-sentinel.team.svc.cluster.local:8080;"));
    assert!(config.contains("proxy_pass http://$platform;") && !config.contains("upstream sentinel"), "{config}");
    assert_eq!(config.matches('{').count(), config.matches('}').count());
}

const DISTRIBUTED: &str = "{profile: Distributed, dependencies: {postgres: {managed: {}}, cassandra: {managed: {}}, kafka: {managed: {}}, redis: {managed: {}}, elasticsearch: {managed: {}}, s3: {managed: {}}}}";

#[test]
fn each_path_leads_to_its_service_and_a_session_to_its_pod() {
    let dns = ClusterDns { servers: vec!["10.96.0.10".parse().unwrap()], domain: "cluster.local".into() };
    let config = config_with(DISTRIBUTED, &Settings { cluster_dns: Some(dns), ..Settings::default() });
    for line in [
        "default chat-users.team.svc.cluster.local:8080;",
        "\"~^/users/chat(/|$)\" chat-message.team.svc.cluster.local:8080;",
        "/sync chat-message.team.svc.cluster.local:8080;",
        "\"~^/socket[.]io(/|$)\" chat-message.team.svc.cluster.local:8080;",
        "\"~^/users/last_active(/|$)\" chat-presence.team.svc.cluster.local:8080;",
        "/send_notification chat-notification.team.svc.cluster.local:8080;",
        "\"~^/search(/|$)\" chat-search.team.svc.cluster.local:8080;",
        "/admin/reindex chat-search.team.svc.cluster.local:8080;",
        "\"~^/media(/|$)\" chat-media.team.svc.cluster.local:8080;",
        "\"~^(?<pod>0|[1-9][0-9]{0,2})[.]\" chat-message-$pod.chat-message-pods.team.svc.cluster.local:8080;",
        "proxy_pass http://$socket_server;",
        r#"return 400 '{"code":1,"message":"Session ID unknown"}';"#,
    ] {
        assert!(config.contains(line), "{line} is not in {config}");
    }
    assert!(!config.contains('@') || !config.contains("@SOCKET@") && !config.contains("@LOCATIONS@"), "{config}");
    assert!(!config.contains("chat-sentinel"));
}

#[test]
fn a_setting_that_nobody_wrote_is_not_in_the_configuration() {
    // An older image that a resource is pinned to refuses what it does not know.
    let names = |value: &serde_json::Value| {
        let mut names: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
        names.sort();
        names
    };
    let file = platform("{}");
    let least = ["adminListen", "dataDir", "keysDir", "listen", "trustedProxies", "webDir"];
    assert_eq!(names(&file), least);
    let file = platform("{limits: {messagesPerSecond: 20}}");
    assert_eq!(file["limits"], serde_json::json!({ "messagesPerSecond": 20 }));
    let stores = platform(DISTRIBUTED)["stores"].clone();
    assert_eq!(names(&stores["kafka"]), ["connection"]);
}

#[test]
fn the_index_is_blind_unless_the_resource_wants_words_in_it() {
    for spec in ["{}", "{search: {}}", "{search: {mode: Blind}}"] {
        assert_eq!(platform(spec), platform("{}"), "{spec}");
    }
    assert_eq!(platform("{search: {mode: Plaintext}}")["search"], serde_json::json!({ "mode": "Plaintext" }));
}

#[test]
fn without_a_name_server_sessions_go_to_any_replica_which_passes_them_on() {
    let config = config(DISTRIBUTED);
    assert!(config.contains("server chat-message.team.svc:8080 max_fails=0;") && !config.contains("resolver"));
    assert!(config.contains("map $arg_sid $socket_server {\n    default message;\n  }"), "{config}");
    assert_eq!(config.matches('{').count(), config.matches('}').count());
}

#[test]
fn files_go_to_where_they_are_kept_by_the_name_that_the_client_used() {
    let embedded = config("{}");
    let files = &embedded[embedded.find("location /media/files/ {").unwrap()..];
    assert!(files.contains("client_max_body_size 26214400;") && files.contains("proxy_pass http://sentinel;"));
    let distributed =
        config(&DISTRIBUTED.replacen("profile", "auth: {corsOrigins: [\"https://a.example.com\"]}, profile", 1));
    let bucket = &distributed[distributed.find("location /sentinel-media/ {").unwrap()..];
    for line in [
        "proxy_set_header Host $http_host;",
        "proxy_set_header Authorization \"\";",
        "proxy_request_buffering off;",
        "client_max_body_size 26214400;",
        "set $files files;",
        "Access-Control-Allow-Headers \"content-type, if-none-match, if-range, range\" always;",
        "Access-Control-Expose-Headers \"accept-ranges, content-disposition, content-range, etag\" always;",
    ] {
        assert!(bucket.contains(line), "{line} is not in {bucket}");
    }
    assert!(distributed.contains("server chat-s3.team.svc:"), "{distributed}");
    assert!(distributed.contains("    \"https://a.example.com\" $http_origin;"), "{distributed}");
    let dns = ClusterDns { servers: vec!["10.96.0.10".parse().unwrap()], domain: "cluster.local".into() };
    let looked_up = config_with(DISTRIBUTED, &Settings { cluster_dns: Some(dns), ..Settings::default() });
    assert!(looked_up.contains("set $files chat-s3.team.svc.cluster.local:"), "{looked_up}");
    let own = "s3: {external: {endpoints: [\"https://s3.example.com\"], secret: {name: s3}}}";
    let external = config(&DISTRIBUTED.replace("s3: {managed: {}}", own));
    assert!(!external.contains("sentinel-media") && !external.contains("@STORED"), "{external}");
}

#[test]
fn how_a_running_gateway_looks_names_up_is_read_back() {
    for (servers, spec) in [("10.96.0.10", "{}"), ("10.96.0.10,fd00::a", "{}"), ("10.96.0.10", DISTRIBUTED)] {
        let servers = servers.split(',').map(|server| server.parse().unwrap()).collect();
        let cluster_dns = Some(ClusterDns { servers, domain: "example.internal".into() });
        let settings = Settings { cluster_dns: cluster_dns.clone(), ..Settings::default() };
        assert_eq!(cluster_dns_of(&config_with(spec, &settings)), cluster_dns);
    }
    assert_eq!(cluster_dns_of(&config("{}")), None);
}

/// Answers hold messages in the clear, and requests hold passwords, too.
#[test]
fn nothing_that_passes_through_is_kept_on_a_disk() {
    for (spec, uploads) in [("{}", "location /media/files/"), (DISTRIBUTED, "location /sentinel-media/")] {
        let config = config(spec);
        let (before, after) = config.split_once("\n  server {").unwrap();
        assert!(before.contains("\n  proxy_max_temp_file_size 0;\n"), "{before}");
        assert!(before.contains("\n  client_body_buffer_size 64k;\n"), "{before}");
        assert!(!after.contains("proxy_max_temp_file_size"), "it is for all locations");
        let (_, location) = after.split_once(uploads).unwrap();
        let (location, _) = location.split_once("proxy_pass").unwrap();
        assert!(location.contains("proxy_request_buffering off;"), "{location}");
        let gateway = rendered(spec, &Settings::default(), "Deployment", "chat-gateway");
        let volumes = gateway["spec"]["template"]["spec"]["volumes"].as_array().unwrap().clone();
        let tmp = volumes.into_iter().find(|volume| volume["name"] == "tmp").unwrap();
        assert_eq!(tmp["emptyDir"], serde_json::json!({ "medium": "Memory", "sizeLimit": "64Mi" }));
    }
}

#[test]
fn the_image_of_the_gateway_is_pulled_with_its_own_credentials_too() {
    let secrets = |spec: &str| {
        let gateway = rendered(spec, &Settings::default(), "Deployment", "chat-gateway");
        let secrets = gateway["spec"]["template"]["spec"]["imagePullSecrets"].as_array().cloned().unwrap_or_default();
        secrets.iter().map(|secret| secret["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(secrets("{}"), Vec::<String>::new());
    assert_eq!(secrets("{gateway: {image: {pullSecrets: [{name: mirror}]}}}"), ["mirror"]);
    let both = "{image: {pullSecrets: [{name: own}]}, gateway: {image: {pullSecrets: [{name: own}, {name: mirror}]}}}";
    assert_eq!(secrets(both), ["own", "mirror"]);
}
