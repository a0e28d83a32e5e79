use std::time::Duration;

use super::*;
use crate::diagnostic::Diagnostic as _;
use crate::host::registry_auth::Credential;

struct Home {
    folder: tempfile::TempDir,
    store: CredentialStore,
}

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = CredentialStore {
            path: folder.path().join("docker/config.json"),
            helpers: Helpers::new(Some(folder.path().to_owned()), Duration::from_secs(5)),
        };
        Home { folder, store }
    }

    fn with(text: &str) -> Self {
        let home = Home::new();
        std::fs::create_dir(home.folder.path().join("docker")).unwrap();
        std::fs::write(&home.store.path, text).unwrap();
        home
    }

    /// A helper that keeps what it is told in files beside it.
    #[cfg(unix)]
    fn helper(&self, name: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.folder.path().join(format!("docker-credential-{name}"));
        let kept = self.folder.path().join(format!("kept-{name}"));
        let kept = kept.display();
        let script = format!(
            "#!/bin/sh\ncase $1 in\nstore) cat > {kept} ;;\nget) cat {kept} 2>/dev/null || {{ \
             echo 'credentials not found in native keychain'; exit 1; }} ;;\nerase) rm {kept} ;;\nesac\n"
        );
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    async fn log_in(&self, registry: &str, password: &str) -> Result<Place, RegistryAuthError> {
        let password = Secret::new(password.to_owned());
        self.store.store(registry, "ann", &password).await
    }

    async fn password(&self, registry: &str) -> String {
        let helpers = Helpers::new(Some(self.folder.path().to_owned()), Duration::from_secs(5));
        let auth = RegistryAuth::with_helpers(vec![self.store.path.clone()], helpers);
        match auth.credential_for(registry, "a/b").await.unwrap() {
            Credential::Basic { username, password } => {
                assert_eq!(username, "ann");
                password.expose().to_owned()
            }
            other => format!("{other:?}"),
        }
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.store.path).unwrap()
    }

    fn files(&self) -> usize {
        std::fs::read_dir(self.store.path.parent().unwrap())
            .unwrap()
            .count()
    }
}

#[tokio::test]
async fn a_new_file_is_its_owners_alone() {
    let home = Home::new();
    let place = home.log_in("r.example.test:5000", "p:w").await.unwrap();
    assert_eq!(place, Place::File(home.store.path.clone()));
    assert_eq!(home.password("r.example.test:5000").await, "p:w");
    assert_eq!(home.password("r.example.test").await, "Anonymous");
    assert_eq!(home.files(), 1, "nothing is left behind");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&home.store.path), 0o600);
        assert_eq!(mode(home.store.path.parent().unwrap()), 0o700);
        let open = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(&home.store.path, open).unwrap();
        home.log_in("other.test", "pw").await.unwrap();
        assert_eq!(mode(&home.store.path), 0o600);
    }
}

#[tokio::test]
async fn what_others_wrote_stays() {
    let home = Home::with(
        r#"{"proxies":{"default":{"noProxy":"x"}},"auths":{"o.test":{"auth":"YW5uOnB3"}},"n":1.50}"#,
    );
    home.log_in("r.test", "one").await.unwrap();
    home.log_in("r.test", "two").await.unwrap();
    assert_eq!(home.password("r.test").await, "two");
    assert_eq!(home.password("o.test").await, "pw");
    let text = home.text();
    assert!(
        text.contains(r#""proxies": {"default":{"noProxy":"x"}}"#),
        "{text}"
    );
    assert!(text.contains(r#""n": 1.50"#), "{text}");
    assert_eq!(
        home.store.erase("r.test").await.unwrap(),
        [Place::File(home.store.path.clone())]
    );
    assert_eq!(home.password("r.test").await, "Anonymous");
    assert_eq!(home.password("o.test").await, "pw");
    assert_eq!(home.store.erase("r.test").await.unwrap(), []);
}

#[tokio::test]
async fn docker_hub_is_kept_as_docker_keeps_it() {
    let home = Home::new();
    home.log_in("registry-1.docker.io", "pw").await.unwrap();
    assert!(home.text().contains("https://index.docker.io/v1/"));
    assert_eq!(home.password("docker.io").await, "pw");
    assert_eq!(home.store.erase("docker.io").await.unwrap().len(), 1);
}

#[tokio::test]
async fn every_spelling_of_a_host_is_forgotten_and_no_path_under_it() {
    let home = Home::with(
        r#"{"auths":{"r.test":{},"https://r.test/v1/":{"auth":"YW5uOnB3"},"r.test/team":{"auth":"YW5uOnB3"},"r.test:1":{}}}"#,
    );
    home.store.erase("r.test").await.unwrap();
    let text = home.text();
    assert!(!text.contains("v1") && text.contains("r.test/team") && text.contains("r.test:1"));
}

#[cfg(unix)]
#[tokio::test]
async fn a_helper_is_used_where_the_file_names_one() {
    for file in [
        r#"{"credsStore":"keep","auths":{"r.test":{"auth":"YW5uOm9sZA=="}}}"#,
        r#"{"credHelpers":{"r.test":"keep"},"credsStore":"absent"}"#,
    ] {
        let home = Home::with(file);
        home.helper("keep");
        let place = home.log_in("r.test", "pw").await.unwrap();
        assert_eq!(place, Place::Helper("keep".to_owned()));
        let kept = std::fs::read_to_string(home.folder.path().join("kept-keep")).unwrap();
        assert_eq!(
            kept,
            r#"{"ServerURL":"r.test","Username":"ann","Secret":"pw"}"#
        );
        assert_eq!(home.password("r.test").await, "pw");
        // Nothing secret in the file, neither the new password nor an old one.
        let text = home.text();
        assert!(!text.contains("YW5u"), "{text}");
        assert!(text.contains("keep"), "{text}");
    }
    let home = Home::with(r#"{"credsStore":"keep"}"#);
    home.helper("keep");
    assert_eq!(home.store.erase("r.test").await.unwrap(), []);
    home.log_in("r.test", "pw").await.unwrap();
    let erased = home.store.erase("r.test").await.unwrap();
    assert_eq!(erased, [Place::Helper("keep".to_owned())]);
    assert_eq!(home.password("r.test").await, "Anonymous");
}

#[cfg(unix)]
#[tokio::test]
async fn a_helper_that_fails_is_told_and_nothing_is_written() {
    let home = Home::with(r#"{"credsStore":"absent"}"#);
    let before = home.text();
    let error = home.log_in("r.test", "pw").await.unwrap_err();
    assert_eq!(error.code(), "credential-helper-failed");
    assert_eq!(home.text(), before);
}

#[tokio::test]
async fn a_file_that_is_none_is_left_alone() {
    for bad in ["{", "[]", r#"{"auths":[]}"#] {
        let home = Home::with(bad);
        let error = home.log_in("r.test", "pw").await.unwrap_err();
        assert_eq!(error.code(), "registry-auth-file-unreadable", "{bad}");
        assert_eq!(home.text(), bad);
        assert_eq!(home.files(), 1);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_stays_a_link() {
    let home = Home::with("{}");
    let real = home.folder.path().join("real.json");
    std::fs::rename(&home.store.path, &real).unwrap();
    std::os::unix::fs::symlink(&real, &home.store.path).unwrap();
    home.log_in("r.test", "pw").await.unwrap();
    assert!(
        std::fs::symlink_metadata(&home.store.path)
            .unwrap()
            .is_symlink()
    );
    assert!(std::fs::read_to_string(&real).unwrap().contains("r.test"));
    std::fs::remove_file(&real).unwrap();
    let error = home.log_in("r.test", "pw").await.unwrap_err();
    assert_eq!(error.code(), "registry-auth-file-unwritable");
}

#[test]
fn logins_at_the_same_time_all_stay() {
    let home = Home::new();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let home = &home;
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .unwrap();
                let registry = format!("r{number}.test");
                runtime.block_on(home.log_in(&registry, "pw")).unwrap();
            });
        }
    });
    let text = home.text();
    for number in 0..8 {
        assert!(text.contains(&format!("r{number}.test")), "{text}");
    }
    assert_eq!(home.files(), 1);
}

#[test]
fn a_user_name_can_be_told_from_the_password() {
    assert_eq!(check_username("ann@example.test"), Ok(()));
    for bad in ["", "a:b", "a\nb"] {
        assert!(check_username(bad).is_err(), "{bad:?}");
    }
}
