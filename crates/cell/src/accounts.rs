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
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|id| digits && *id != u32::MAX)
}

/// Lines that are text; others cannot name anybody.
fn lines(file: &[u8]) -> impl Iterator<Item = &str> {
    file.split(|byte| *byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok())
}

/// By name first, then by number, as Docker does.
fn find_user<'a>(user: &str, passwd: &'a [u8]) -> Option<Entry<'a>> {
    let wanted = number(user);
    let mut by_number = None;
    for line in lines(passwd) {
        let fields: Vec<&str> = line.splitn(8, ':').collect();
        let [name, _, uid, gid, _, home, ..] = fields.as_slice() else { continue };
        let (Some(uid), Some(gid)) = (number(uid), number(gid)) else { continue };
        let entry = Entry { name, uid, gid, home };
        if *name == user {
            return Some(entry);
        }
        if by_number.is_none() && wanted == Some(uid) {
            by_number = Some(entry);
        }
    }
    by_number
}

fn find_group(group: &str, file: &[u8]) -> Result<u32, Unknown> {
    group_lines(file)
        .find(|(name, _, _)| *name == group)
        .map(|(_, gid, _)| gid)
        .or_else(|| number(group))
        .ok_or_else(|| Unknown::Group(group.to_owned()))
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
        assert_eq!(ids("1000"), (5, 5, vec![], "/five".into()));
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
