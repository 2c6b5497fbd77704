import {fstatSync} from 'node:fs';
import {type Books, getreginfo, localAddress, type RegistrationInfo, readBooks} from '@zlr/kernel-shim';
import {native} from '@zlr/kernel-shim/internal';

export interface InheritedListener {
  fd: number;
  cookie: bigint;
  address: string;
  port: number;
}

export interface InheritedConnection {
  fd: number;
  books: Books;
}

/**
 * What this process inherited from the former generation, which several servers of one process share: each takes what is
 * its own, once. Nothing here goes by the numbers of descriptors: sockets are named by SO_COOKIE, which is never used
 * twice, and files by device and inode, since any descriptor of a file is as good as another.
 */
export class Inheritance {
  readonly #listeners = new Map<bigint, InheritedListener>();
  readonly #connections = new Map<bigint, InheritedConnection>();
  readonly #files = new Map<string, number[]>();
  static #only: Inheritance | undefined;

  /** Of this process. */
  static get(): Inheritance {
    Inheritance.#only ??= new Inheritance(getreginfo());
    return Inheritance.#only;
  }

  /** Of nobody: these channels alone. */
  static of(channels: readonly number[]): Inheritance {
    return new Inheritance({channels, files: []});
  }

  private constructor(info: Pick<RegistrationInfo, 'channels' | 'files'> | null) {
    for (const fd of info?.channels ?? []) this.#sort(fd);
    for (const {fd} of info?.files ?? []) {
      const {dev, ino} = fstatSync(fd);
      const key = `${dev}:${ino}`;
      this.#files.set(key, [...(this.#files.get(key) ?? []), fd]);
    }
  }

  #sort(fd: number): void {
    const books = readBooks(fd);
    // A socket that listens has neither sent nor received; nearly all others have, and need not be asked for more.
    const local = books && books.read + books.written > 0 ? undefined : localAddress(fd);
    if (local?.listening) {
      const {address, port} = local;
      const cookie = native().cookieOf(fd);
      this.#listeners.set(cookie, {fd, cookie, address, port});
    } else if (books) this.#connections.set(books.cookie, {fd, books});
    else native().close(fd);
  }

  listener(cookie: bigint): InheritedListener | undefined {
    return take(this.#listeners, cookie);
  }

  /** One that nobody has asked for by its name: it was opened in the last instant. */
  listenerAt(address: string, port: number): InheritedListener | undefined {
    for (const {cookie, ...where} of this.#listeners.values())
      if (where.address === address && where.port === port) return this.listener(cookie);
    return undefined;
  }

  connection(cookie: bigint): InheritedConnection | undefined {
    return take(this.#connections, cookie);
  }

  /** Those that one of these listeners must have accepted, and nobody has a record of. */
  accepted(listeners: readonly {address: string; port: number}[]): InheritedConnection[] {
    const found = [...this.#connections.values()].filter(({fd}) => {
      const here = localAddress(fd)!;
      return listeners.some(
        ({address, port}) => port === here.port && (address === here.address || isWildcard(address)),
      );
    });
    for (const {books} of found) this.#connections.delete(books.cookie);
    return found;
  }

  file(device: number, inode: number): number | undefined {
    return this.#files.get(`${device}:${inode}`)?.pop();
  }

  /** Closes what nobody has taken, as soon as no other server can be to come: then no listener is left. */
  closeTheRest(): void {
    if (this.#listeners.size > 0) return;
    for (const fds of this.#files.values()) for (const fd of fds) native().close(fd);
    for (const {fd} of this.#connections.values()) native().close(fd);
    this.#files.clear();
    this.#connections.clear();
  }
}

const isWildcard = (address: string): boolean => address === '0.0.0.0' || address === '::';

function take<K, V>(map: Map<K, V>, key: K): V | undefined {
  const value = map.get(key);
  map.delete(key);
  return value;
}
