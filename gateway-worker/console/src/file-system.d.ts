// What Chromium has of the File System Access API (https://wicg.github.io/file-system-access/) and
// TypeScript's own declarations lack.

interface Window {
  showOpenFilePicker(options: {
    multiple?: boolean;
    types?: { description: string; accept: Record<string, readonly string[]> }[];
  }): Promise<FileSystemFileHandle[]>;
}

interface DataTransferItem {
  getAsFileSystemHandle?(): Promise<FileSystemHandle | null>;
}

interface FileSystemHandle {
  queryPermission?(descriptor: { mode: 'read' }): Promise<PermissionState>;
  requestPermission?(descriptor: { mode: 'read' }): Promise<PermissionState>;
}
