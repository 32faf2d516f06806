/** What the architecture rules need to know of one source file: what it imports, and which names of the outside world it uses. */
import { parseAst } from 'rolldown/parseAst';
import { posix } from 'node:path';

export interface Reference {
  readonly line: number;
  /** `npm:name/path` for packages, `node:name`, and the path from the root for our own files. */
  readonly target: string;
  /** Erased before running: `import type`, `import('./x.ts').T`. */
  readonly typeOnly: boolean;
  /** Named by `new URL('./x.ts', import.meta.url)`: loaded in a thread or process of its own. */
  readonly apart: boolean;
}

export interface Use {
  readonly line: number;
  /** `a`, `a.b`, `new a()`, `await` or `async function`. */
  readonly name: string;
}

export interface SourceFile {
  readonly path: string;
  readonly references: readonly Reference[];
  readonly uses: readonly Use[];
}

interface Node {
  readonly type: string;
  readonly start: number;
  readonly [field: string]: unknown;
}

/** AssemblyScript's decorators stand on lines of their own, where TypeScript's grammar has none. */
const DECORATOR_LINE = /^[ \t]*@\w+(\(.*\))?[ \t]*$/gm;

/** Parses `text`, the source of `path` (from the root, with slashes). */
export function readSource(path: string, text: string): SourceFile {
  const source = path.startsWith('assembly/') ? text.replace(DECORATOR_LINE, (line) => ' '.repeat(line.length)) : text;
  const references: Reference[] = [];
  const uses: Use[] = [];
  const declared = new Set<string>();

  const lineOf = lineFinder(source);
  const refer = (node: Node, specifier: unknown, typeOnly: boolean, apart = false): void => {
    if (typeof specifier === 'string')
      references.push({ line: lineOf(node.start), target: resolveTarget(path, specifier), typeOnly, apart });
  };
  const use = (node: Node, name: string): void => void uses.push({ line: lineOf(node.start), name });

  walk(parseAst(source, { lang: 'ts' }) as unknown as Node, undefined, (node, parent, field) => {
    switch (node.type) {
      case 'ImportDeclaration':
        return refer(node, literal(node['source']), node['importKind'] === 'type' || everySpecifierIsType(node));
      case 'ExportNamedDeclaration':
      case 'ExportAllDeclaration':
        return refer(node, literal(node['source']), node['exportKind'] === 'type');
      case 'ImportExpression':
        return refer(node, literal(node['source']), false);
      case 'TSImportType':
        return refer(node, literal(node['source']) ?? literal((node['argument'] as Node | undefined)?.['literal']), true);
      case 'NewExpression':
        if (identifierName(node['callee']) === 'URL' && isImportMetaUrl((node['arguments'] as Node[])[1])) {
          const file = literal((node['arguments'] as Node[])[0]);
          if (file?.endsWith('.ts')) refer(node, file, false, true);
        }
        if ((node['arguments'] as Node[]).length === 0) use(node, `new ${identifierName(node['callee']) ?? '?'}()`);
        return;
      case 'MemberExpression': {
        const name = dottedName(node);
        return name === undefined ? undefined : use(node, name);
      }
      case 'AwaitExpression':
        return use(node, 'await');
      case 'ForOfStatement':
        return node['await'] === true ? use(node, 'await') : undefined;
      case 'FunctionDeclaration':
      case 'FunctionExpression':
      case 'ArrowFunctionExpression':
        return node['async'] === true ? use(node, 'async function') : undefined;
      case 'Identifier':
        if (isDeclaration(parent, field)) declared.add(node['name'] as string);
        else if (!isMereName(parent, field)) use(node, node['name'] as string);
        return;
      default:
        return;
    }
  });
  return { path, references, uses: uses.filter(({ name }) => !declared.has(name.split('.')[0]!)) };
}

function walk(
  node: Node,
  parent: Node | undefined,
  visit: (node: Node, parent: Node | undefined, field: string) => void,
  field = '',
): void {
  visit(node, parent, field);
  for (const [name, value] of Object.entries(node)) {
    for (const child of Array.isArray(value) ? value : [value]) {
      if (typeof child === 'object' && child !== null && 'type' in child) walk(child as Node, node, visit, name);
    }
  }
}

/** A binding of this file's own: an import, a variable, a function, a class, a parameter. */
function isDeclaration(parent: Node | undefined, field: string): boolean {
  switch (parent?.type) {
    case 'ImportSpecifier':
    case 'ImportDefaultSpecifier':
    case 'ImportNamespaceSpecifier':
      return field === 'local';
    case 'VariableDeclarator':
    case 'FunctionDeclaration':
    case 'ClassDeclaration':
    case 'TSTypeAliasDeclaration':
    case 'TSInterfaceDeclaration':
      return field === 'id';
    case 'FunctionExpression':
    case 'ArrowFunctionExpression':
      return field === 'params';
    default:
      return false;
  }
}

/** A property's or a label's name, not a reference to a binding. */
function isMereName(parent: Node | undefined, field: string): boolean {
  if (parent?.type === 'MemberExpression') return field === 'property' && parent['computed'] !== true;
  if (parent?.type === 'ImportSpecifier') return field === 'imported';
  if (parent?.type === 'ExportSpecifier') return field === 'exported';
  return field === 'key' || field === 'label';
}

function everySpecifierIsType(node: Node): boolean {
  const specifiers = node['specifiers'] as Node[];
  return specifiers.length > 0 && specifiers.every((specifier) => specifier['importKind'] === 'type');
}

function isImportMetaUrl(node: Node | undefined): boolean {
  return (
    node?.type === 'MemberExpression' && (node['object'] as Node).type === 'MetaProperty' && identifierName(node['property']) === 'url'
  );
}

function identifierName(node: unknown): string | undefined {
  const { type, name } = (node ?? {}) as { type?: string; name?: string };
  return type === 'Identifier' ? name : undefined;
}

/** `a.b` for such an expression, `b` for `globalThis.b`. */
function dottedName(node: unknown): string | undefined {
  const { type, object, property, computed } = (node ?? {}) as { type?: string; object?: unknown; property?: unknown; computed?: boolean };
  if (type !== 'MemberExpression') return identifierName(node);
  const before = dottedName(object);
  const last = identifierName(property);
  if (before === undefined || last === undefined || computed === true) return undefined;
  return before === 'globalThis' ? last : `${before}.${last}`;
}

function literal(node: unknown): string | undefined {
  const value = (node as { value?: unknown } | null | undefined)?.value;
  return typeof value === 'string' ? value : undefined;
}

function resolveTarget(from: string, specifier: string): string {
  if (specifier.startsWith('node:')) return specifier;
  if (!specifier.startsWith('.')) return `npm:${specifier}`;
  const target = posix.join(posix.dirname(from), specifier);
  return from.startsWith('assembly/') && posix.extname(target) === '' ? `${target}.ts` : target;
}

function lineFinder(text: string): (offset: number) => number {
  const starts = [0];
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
  return (offset) => {
    let low = 0;
    let high = starts.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (starts[middle]! <= offset) low = middle;
      else high = middle;
    }
    return low + 1;
  };
}
