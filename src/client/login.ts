import { userInfo } from 'node:os';

/** Name of the operating system's user; its number where it has no name, as in many containers. */
export function loginName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? 'unknown');
  }
}
