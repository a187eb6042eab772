//! Users and groups as the container's own `/etc/passwd` and `/etc/group` name them. The files belong to the container
//! and are hostile: bounded, never nss (CVE-2019-14271), never followed out of the root.

/// Bytes of a passwd or group file that are looked at; a larger file is refused.
pub const MAX_FILE: usize = 4 << 20;
/// Supplementary groups at most (`NGROUPS_MAX` is 65,536; nobody means more than this).
const MAX_GROUPS: usize = 1024;

/// Who a process runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// User id inside.
    pub uid: u32,
    /// Primary group id inside.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// Home directory; `/` if the files do not know.
    pub home: String,
}

/// Why a user or group cannot be resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// This user is no number and no line has it.
    User(String),
    /// This group is no number and no line has it.
    Group(String),
    /// More supplementary groups than a process may have.
    TooManyGroups,
}

struct Entry<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

/// Resolves `user[:group]` and additional groups by the contents of both files (Docker's rules: a number needs no line;
/// without a group the passwd line's counts, else 0; the groups that list the user's name come along unless a group was
/// given).
///
/// What is written as a number is that number: no line of the image is asked by a *name* of digits, or a user called
/// `1000` with id 0 would make `-u 1000` root (CVE-2016-3697, CVE-2026-46680), and digits that are no id are refused
/// rather than taken for a name or cut to 32 bits (CVE-2024-40635).
///
/// # Errors
/// If a name has no line.
pub fn resolve(user: &str, additional: &[String], passwd: &[u8], group: &[u8]) -> Result<Account, Unknown> {
    let (user, wanted_group) = user.split_once(':').map_or((user, ""), |(user, group)| (user, group));
    let user = if user.is_empty() { "0" } else { user };
    let entry = find_user(user, passwd);
    let uid = match (&entry, number(user)) {
        (Some(entry), _) => entry.uid,
        (None, Some(uid)) => uid,
        (None, None) => return Err(Unknown::User(user.to_owned())),
    };
    let gid = match wanted_group {
        "" => entry.as_ref().map_or(0, |entry| entry.gid),
        name => find_group(name, group)?,
    };
    let mut groups = Vec::new();
    if wanted_group.is_empty()
        && let Some(entry) = &entry
    {
        groups.extend(member_of(entry.name, group).filter(|extra| *extra != gid));
    }
    for name in additional {
        groups.push(find_group(name, group)?);
    }
    groups.sort_unstable();
    groups.dedup();
    if groups.len() > MAX_GROUPS {
        return Err(Unknown::TooManyGroups);
    }
    let home = entry.map(|entry| entry.home).filter(|home| home.starts_with('/')).unwrap_or("/").to_owned();
    Ok(Account { uid, gid, groups, home })
}

/// An id: decimal digits only, and not the kernel's "no id".
fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|id| is_numeric(text) && *id != u32::MAX)
}

/// Lines that are text; others cannot name anybody.
fn lines(file: &[u8]) -> impl Iterator<Item = &str> {
    file.split(|byte| *byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok())
}

/// Only digits: never a name, whatever the files say.
fn is_numeric(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The first line of this name, or of this number if it is one.
fn find_user<'a>(user: &str, passwd: &'a [u8]) -> Option<Entry<'a>> {
    let (numeric, wanted) = (is_numeric(user), number(user));
    lines(passwd).find_map(|line| {
        let fields: Vec<&str> = line.splitn(8, ':').collect();
        let [name, _, uid, gid, _, home, ..] = fields.as_slice() else { return None };
        let (uid, gid) = (number(uid)?, number(gid)?);
        let this = if numeric { wanted == Some(uid) } else { *name == user };
        this.then_some(Entry { name, uid, gid, home })
    })
}

fn find_group(group: &str, file: &[u8]) -> Result<u32, Unknown> {
    let found = if is_numeric(group) {
        number(group)
    } else {
        group_lines(file).find(|(name, _, _)| *name == group).map(|(_, gid, _)| gid)
    };
    found.ok_or_else(|| Unknown::Group(group.to_owned()))
}

fn member_of<'a>(user: &'a str, file: &'a [u8]) -> impl Iterator<Item = u32> + 'a {
    group_lines(file)
        .filter(move |(_, _, members)| members.split(',').any(|member| member == user))
        .map(|(_, gid, _)| gid)
}

/// Name, number and member list of each well-formed line.
fn group_lines(file: &[u8]) -> impl Iterator<Item = (&str, u32, &str)> {
    lines(file).filter_map(|line| {
        let mut fields = line.splitn(4, ':');
        let (name, _, gid) = (fields.next()?, fields.next()?, number(fields.next()?)?);
        Some((name, gid, fields.next().unwrap_or_default()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/sh\nwww:x:33:34:w:/var/www:/x\n1000:x:5:5::/five:\n";
    const GROUP: &[u8] = b"root:x:0:\nadm:x:4:www,root\nwww:x:34:\ndisk:x:6:notwww,www2\n";

    fn ids(user: &str) -> (u32, u32, Vec<u32>, String) {
        let account = resolve(user, &[], PASSWD, GROUP).unwrap();
        (account.uid, account.gid, account.groups, account.home)
    }

    #[test]
    fn names_and_numbers() {
        assert_eq!(ids(""), (0, 0, vec![4], "/root".into()));
        assert_eq!(ids("www"), (33, 34, vec![4], "/var/www".into()));
        assert_eq!(ids("33"), (33, 34, vec![4], "/var/www".into()));
        assert_eq!(ids("www:disk"), (33, 6, vec![], "/var/www".into()));
        assert_eq!(ids("4242"), (4242, 0, vec![], "/".into()));
        assert_eq!(ids("4242:77"), (4242, 77, vec![], "/".into()));
        assert_eq!(ids("5"), (5, 5, vec![], "/five".into()));
    }

    /// CVE-2016-3697: users and groups whose *names* are numbers.
    #[test]
    fn what_is_a_number_is_never_a_name() {
        let passwd = b"1000:x:0:0:root:/root:/bin/sh\n007:x:0:0::/root:\n99999999999:x:0:0::/:\n4294967295:x:0:0::/:\n";
        let group = b"1000:x:0:\n4294967295:x:0:\n99999999999:x:0:\n";
        let of = |user: &str, groups: &[String]| resolve(user, groups, passwd, group);
        let account = of("1000", &[]).unwrap();
        assert_eq!((account.uid, account.gid, account.home.as_str()), (1000, 0, "/"));
        let account = of("1000:1000", &["1000".into()]).unwrap();
        assert_eq!((account.uid, account.gid, account.groups), (1000, 1000, vec![1000]));
        assert_eq!(of("007", &[]).unwrap().uid, 7);
        for id in ["4294967295", "4294967296", "99999999999"] {
            assert_eq!(of(id, &[]), Err(Unknown::User(id.into())));
            assert_eq!(of(&format!("1:{id}"), &[]), Err(Unknown::Group(id.into())));
        }
        assert_eq!(of("2147483648", &[]).unwrap().uid, 2_147_483_648, "the kernel refuses it: it has no host id");
        assert_eq!(of("0x0", &[]), Err(Unknown::User("0x0".into())));
        // The line of the number counts for its group and home, whatever it is called.
        let account = of("0", &[]).unwrap();
        assert_eq!((account.uid, account.home.as_str()), (0, "/root"));
    }

    #[test]
    fn additional_groups_and_unknown_names() {
        let account = resolve("www", &["disk".into(), "9".into(), "adm".into()], PASSWD, GROUP).unwrap();
        assert_eq!(account.groups, [4, 6, 9]);
        assert_eq!(resolve("nobody", &[], PASSWD, GROUP), Err(Unknown::User("nobody".into())));
        assert_eq!(resolve("0:x", &[], PASSWD, GROUP), Err(Unknown::Group("x".into())));
        assert_eq!(resolve("0", &["-1".into()], PASSWD, GROUP), Err(Unknown::Group("-1".into())));
    }

    #[test]
    fn hostile_files() {
        let passwd = b"\xff\xfe:x:0:0::/:\n:::::::\nevil:x:-0:0::/:\nevil:x:+0:0::/:\nevil:x:99999999999:0::/:\n\
            evil:x:4294967295:0::/:\nlong\nevil:x:7:8::relative:\nevil:x:0:0::/root:";
        let account = resolve("evil", &[], passwd, b"\0\0\ng:x:1:evil\ng:x:\xff:evil\n::5:evil").unwrap();
        assert_eq!((account.uid, account.gid, account.groups, account.home.as_str()), (7, 8, vec![1, 5], "/"));
        assert_eq!(resolve("4294967295", &[], b"", b""), Err(Unknown::User("4294967295".into())));
        assert_eq!(resolve("-1", &[], b"", b""), Err(Unknown::User("-1".into())));
        let many: String = (0..2000).map(|gid| format!("g{gid}:x:{gid}:evil\n")).collect();
        assert_eq!(resolve("evil", &[], passwd, many.as_bytes()), Err(Unknown::TooManyGroups));
    }
}
