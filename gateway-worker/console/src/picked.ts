// Files that a person gave to the page, where the browser can with a handle by which the page may
// read them again after a reload.

export interface Picked {
  file: File;
  handle?: FileSystemFileHandle;
}

/** What the drop zone takes. The gateway looks at the bytes; this only helps with choosing. */
const extensions = ['.mkv', '.mxf', '.ts', '.m2ts', '.flac', '.opus'] as const;
export const accept = ['video/*', 'audio/*', ...extensions].join(',');

/** Whether the browser's own picker gives handles. */
export const canPick = 'showOpenFilePicker' in window;

/** Opens the browser's picker; nothing when the person changes his mind. */
export async function pick(multiple: boolean): Promise<Picked[]> {
  let handles: FileSystemFileHandle[];
  try {
    const accept = { 'video/*': extensions.slice(0, 4), 'audio/*': extensions.slice(4) };
    handles = await window.showOpenFilePicker({ multiple, types: [{ description: 'Video and audio', accept }] });
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') return [];
    throw error;
  }
  return Promise.all(handles.map(async (handle) => ({ handle, file: await handle.getFile() })));
}

/** The files of a drop. Has to be called while the event is handled, before anything is awaited. */
export function dropped(transfer: DataTransfer): Promise<Picked[]> {
  const items = [...transfer.items].filter((item) => item.kind === 'file');
  const picked = items.map(async (item): Promise<Picked | undefined> => {
    const file = item.getAsFile();
    // Both are taken before the first await: afterwards the items are empty.
    const asked = item.getAsFileSystemHandle?.();
    const handle = await asked?.catch(() => null);
    if (handle?.kind === 'directory' || !file) return undefined;
    return handle ? { file, handle: handle as FileSystemFileHandle } : { file };
  });
  return Promise.all(picked).then((all) => all.filter((one) => one !== undefined));
}

/** Plain files, as an `<input>` gives them. */
export function plain(files: FileList | null): Picked[] {
  return [...(files ?? [])].map((file) => ({ file }));
}
