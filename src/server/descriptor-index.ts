/**
 * Finds the proto file that declares something: by file name, by symbol, by extension. Built once from the served
 * services and everything their files import; the files of reflection answers are encoded when asked for.
 */
import { type DescFile, type DescService, toBinary } from "@bufbuild/protobuf";
import { nestedTypes } from "@bufbuild/protobuf/reflect";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";

/** Index of descriptors. */
export class DescriptorIndex {
  /** Full names of the services, in the order given. */
  readonly services: readonly string[];
  readonly #byName = new Map<string, DescFile>();
  readonly #bySymbol = new Map<string, DescFile>();
  /** Numbers and files of extensions, by the type they extend. */
  readonly #extensions = new Map<string, Map<number, DescFile>>();

  constructor(services: readonly DescService[]) {
    this.services = services.map((service) => service.typeName);
    for (const service of services) {
      for (const file of withImports(service.file)) this.#add(file);
    }
  }

  /** The file of this name, such as `goclaw/v1/run.proto`. */
  file(name: string): DescFile | undefined {
    return this.#byName.get(name);
  }

  /** The file that declares a service, method, message or enum by its full name. */
  fileOfSymbol(name: string): DescFile | undefined {
    return this.#bySymbol.get(name);
  }

  fileOfExtension(extendee: string, number: number): DescFile | undefined {
    return this.#extensions.get(extendee)?.get(number);
  }

  extensionNumbers(extendee: string): number[] {
    return [...(this.#extensions.get(extendee)?.keys() ?? [])];
  }

  #add(file: DescFile): void {
    if (this.#byName.has(file.proto.name)) return;
    this.#byName.set(file.proto.name, file);
    for (const type of nestedTypes(file)) {
      this.#bySymbol.set(type.typeName, file);
      if (type.kind === "extension") this.#addExtension(type.extendee.typeName, type.number, file);
      if (type.kind !== "service") continue;
      for (const { name } of type.methods) this.#bySymbol.set(`${type.typeName}.${name}`, file);
    }
  }

  #addExtension(extendee: string, number: number, file: DescFile): void {
    const known = this.#extensions.get(extendee) ?? new Map<number, DescFile>();
    this.#extensions.set(extendee, known.set(number, file));
  }
}

/** A file and everything it imports, directly or not, itself first. */
function withImports(file: DescFile): ReadonlySet<DescFile> {
  const files = new Set([file]);
  for (const known of files) for (const imported of known.dependencies) files.add(imported);
  return files;
}

/** The serialized descriptors of a file and everything it imports. */
export function encodeWithImports(file: DescFile): Uint8Array[] {
  return [...withImports(file)].map(({ proto }) => toBinary(FileDescriptorProtoSchema, proto));
}
