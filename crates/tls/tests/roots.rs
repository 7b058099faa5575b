//! The configurations that trust what others trust.

#[cfg(feature = "webpki-roots")]
#[test]
fn the_roots_of_mozilla_are_there() {
    let config = saferring_tls::client_config_with_webpki_roots().unwrap();
    assert!(config.enable_sni && config.alpn_protocols.is_empty());
}

#[cfg(feature = "native-roots")]
#[test]
fn the_roots_of_the_system_are_found_or_missed() {
    match saferring_tls::client_config_with_native_roots() {
        Ok(config) => assert!(config.enable_sni),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound),
    }
}

/// In a process of its own, where a variable says that there are none.
#[cfg(feature = "native-roots")]
#[test]
fn a_system_without_roots_is_told() {
    const IS_CHILD: &str = "SAFERRING_TLS_WITHOUT_ROOTS";
    if std::env::var_os(IS_CHILD).is_some() {
        let error = saferring_tls::client_config_with_native_roots().unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
        assert!(
            error.to_string().contains("no root certificates"),
            "{error}"
        );
        println!("told");
        return;
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["a_system_without_roots_is_told", "--exact", "--nocapture"])
        .env(IS_CHILD, "1")
        .env("SSL_CERT_FILE", "/nowhere/at/all.pem")
        .env_remove("SSL_CERT_DIR")
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("told"));
    assert!(output.status.success());
}
