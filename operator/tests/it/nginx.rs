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
    let tells_the_scheme = |config: &str| config.contains("default $scheme; http http; https https;");
    assert!(!tells_the_scheme(&direct) && tells_the_scheme(&behind) && tells_the_scheme(&balanced));
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
        // Of an error that is answered at a path of the gateway's own, these are not the client's.
        "\"$uri\"",
        "$request_method",
        "$http_authorization",
        "$http_cookie",
        "$http_referer",
    ] {
        assert!(!log.contains(leak), "{leak} is logged");
    }
    assert!(log.contains(r#""method":"$asked_method","path":"$asked_path","status":$status"#), "{log}");
    for (name, cut) in [("method", "(?<verb>[A-Za-z_-]{1,20}) "), ("path", "(?<path>[^?# ]{0,1000})")] {
        let map = block(&config, &format!("map $request $asked_{name} {{"));
        assert!(map.contains("default \"\";") && map.contains(cut) && map.lines().count() == 4, "{map}");
    }
}

#[test]
fn the_web_client_is_the_platforms_with_its_own_policy() {
    let config = config("{}");
    assert!(!config.contains("location = / {") && !config.contains("root "), "{config}");
    // One policy, of errors too: the page's own where it has one.
    let policies = config.lines().filter(|line| line.contains("add_header Content-Security-Policy"));
    assert!(policies.clone().count() > 0);
    for policy in policies {
        assert_eq!(policy.trim(), "add_header Content-Security-Policy $content_policy always;");
    }
    assert!(config.contains("map $upstream_http_content_security_policy $content_policy {"));
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
        // Of a body only a part may have come by then.
        "\"~^(GET|OPTIONS) .*-$\" 1;",
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

/// Answers hold messages in the clear, and requests hold passwords, too. And bodies that wait here for their end are
/// anybody's, who could fill the gateway's memory with them.
#[test]
fn nothing_that_passes_through_is_kept_on_a_disk_or_gathered_in_memory() {
    for spec in ["{}", "{limits: {bodyBytes: 16777216}}", DISTRIBUTED] {
        let config = config(spec);
        let (before, after) = config.split_once("\n  server {").unwrap();
        for line in [
            "proxy_max_temp_file_size 0;",
            "proxy_request_buffering off;",
            "client_body_buffer_size 16k;",
            "large_client_header_buffers 2 16k;",
            "proxy_buffers 4 4k;",
        ] {
            assert!(before.contains(&format!("\n  {line}\n")), "{line} is not in {before}");
        }
        for setting in ["proxy_max_temp_file_size", "proxy_request_buffering", "client_body_buffer_size"] {
            assert!(!after.contains(setting), "{setting} is for all locations");
        }
        let gateway = rendered(spec, &Settings::default(), "Deployment", "chat-gateway");
        let volumes = gateway["spec"]["template"]["spec"]["volumes"].as_array().unwrap().clone();
        let tmp = volumes.into_iter().find(|volume| volume["name"] == "tmp").unwrap();
        assert_eq!(tmp["emptyDir"], serde_json::json!({ "medium": "Memory", "sizeLimit": "1Mi" }));
    }
}

/// What is between the braces that follow a beginning of a line.
fn block<'a>(config: &'a str, head: &str) -> &'a str {
    let (_, rest) = config.split_once(head).unwrap_or_else(|| panic!("{head} is not in {config}"));
    let mut depth = 1;
    let end = rest.find(|c: char| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        depth == 0
    });
    &rest[..end.unwrap()]
}

#[test]
fn an_answer_of_the_gateway_is_a_whole_problem_that_pages_of_other_origins_can_read() {
    let tls = "{gateway: {host: a.example.com, tls: {secret: {name: t}}}}";
    for spec in ["{}", tls, DISTRIBUTED] {
        let config = config(&spec.replacen('{', "{auth: {corsOrigins: [\"https://a.example.com\"]}, ", 1));
        let origins = block(&config, "map $http_origin $allowed_origin {");
        assert_eq!(origins.trim(), "default \"\";\n    \"https://a.example.com\" $http_origin;");
        for location in ["location @problem {", "location = /-/problem {"] {
            let location = block(&config, location);
            for line in [
                "internal;",
                "default_type application/problem+json;",
                "add_header X-Request-Id $trace_id always;",
                "add_header Retry-After $retry_after always;",
                "add_header Allow $allowed_methods always;",
                "add_header Access-Control-Allow-Origin $allowed_origin always;",
                "add_header Vary Origin always;",
                "add_header X-Content-Type-Options nosniff always;",
                "add_header Strict-Transport-Security $strict_transport always;",
                r#"return 500 '{$problem,"instance":"urn:sentinel:request:$trace_id","request_id":"$trace_id"}';"#,
            ] {
                assert!(location.contains(&format!("\n      {line}\n")), "{line} is not in {location}");
            }
        }
        // With the members and the types that the platform's have.
        for line in block(&config, "map $status $problem {").trim().lines() {
            let (status, members) = line.trim().trim_end_matches(';').split_once(' ').unwrap();
            let document = format!(r#"{{{},"instance":"i","request_id":"r"}}"#, members.trim_matches('\''));
            let document: serde_json::Value = serde_json::from_str(&document).unwrap();
            assert_eq!(document["status"].to_string(), status);
            assert_eq!(document["type"], format!("urn:sentinel:problem:{}", document["code"].as_str().unwrap()));
            assert!(document["detail"].is_string() && document["detail"] == document["error"], "{document}");
        }
        assert_eq!(block(&config, "map $status $retry_after {").trim(), "default \"\";\n    503 2;");
    }
}

#[test]
fn whatever_the_gateway_refuses_it_says_as_a_problem_and_not_as_a_page() {
    let tls = DISTRIBUTED.replacen('{', "{gateway: {host: a.example.com, tls: {secret: {name: t}}}, ", 1);
    for spec in ["{}", DISTRIBUTED, tls.as_str()] {
        let config = config(spec);
        let problems = block(&config, "map $status $problem {");
        for server in config.split("\n  server {").skip(1) {
            let pages: Vec<_> = server.lines().filter_map(|line| line.strip_prefix("    error_page ")).collect();
            for error in ["400", "403", "404", "405", "413", "414", "494", "497", "500", "501", "502", "504", "505"] {
                let page = pages.iter().find(|page| page.split(' ').any(|word| word == error));
                let page = page.unwrap_or_else(|| panic!("{error} is a page in {server}"));
                let status = page.split(' ').find_map(|word| word.strip_prefix('=')).unwrap_or(error);
                assert!(problems.contains(&format!("\n    {status} '")), "{status} says nothing in {problems}");
            }
        }
        // A location that answers some errors in its own way inherits nothing.
        let sockets = block(&config, "location /socket.io/ {");
        assert_eq!(
            sockets.contains("error_page 502"),
            sockets.contains("error_page 403 404 405 413 500 501 @problem;")
        );
    }
    let config = config(DISTRIBUTED);
    let lost = block(&config, "location @socket_lost {");
    assert!(lost.contains("error_page 502") && lost.contains("error_page 403 404 405 413 500 501 @problem;"), "{lost}");
    // Whoever begins a session is told by a problem, and whoever has one as the protocol says.
    let lost = block(&config, "location @session_lost {");
    assert!(lost.contains("error_page 503 @problem;") && lost.contains("return 503;"), "{lost}");
    assert!(lost.contains("add_header Access-Control-Allow-Origin $allowed_origin always;"), "{lost}");
}

#[test]
fn the_longest_origin_finds_room_in_the_map() {
    let origin = format!("https://{}", "a".repeat(272));
    let config = config(&format!("{{auth: {{corsOrigins: [\"{origin}\"]}}}}"));
    assert!(config.contains(&format!("    \"{origin}\" $http_origin;")));
    let (before, _) = config.split_once("  map ").unwrap();
    let (_, size) = before.split_once("map_hash_bucket_size ").unwrap();
    let size: usize = size.split(';').next().unwrap().parse().unwrap();
    // NGINX starts only if an entry has room in a bucket: two pointers, and the length before the name.
    assert!(size >= 2 * size_of::<usize>() + (2 + origin.len()).next_multiple_of(size_of::<usize>()));
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
