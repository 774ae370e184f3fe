import { Link } from '@tanstack/react-router';

/** `adapter@3`, on one line, leading to its page. */
export function VersionLink({ adapter, version }: { adapter: string; version: number | string }) {
  return (
    <Link
      to="/adapters/$adapter/versions/$version"
      params={{ adapter, version: String(version) }}
      className="nowrap"
    >
      {adapter}@{version}
    </Link>
  );
}
