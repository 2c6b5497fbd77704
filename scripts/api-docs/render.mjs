import ts from 'typescript';
import {comment} from './declarations.mjs';
import {instances} from './pages.mjs';
import {block, callable, cell, heading, memberName, overloaded, signature, source} from './signature.mjs';

/**
 * @typedef {import('./declarations.mjs').Declarations} Declarations
 * @typedef {import('./declarations.mjs').Comment} Comment
 * @typedef {import('./pages.mjs').Page} Page
 * @typedef {import('./signature.mjs').Callable} Callable
 */

/** The pages as Markdown. */
export class Reference {
  /** @type {string[]} */
  problems = [];
  /** Page and anchor of each name and heading, as the first rendering found them. @type {Map<string, string>} */
  #places = new Map();
  /** How often each anchor came on this page: GitHub numbers them. @type {Map<string, number>} */
  #anchors = new Map();
  #declarations;
  #errors;
  #file = '';

  /** @param {Declarations} declarations @param {Page[]} pages @param {{code: string, when: string}[]} errors */
  constructor(declarations, pages, errors) {
    this.#declarations = declarations;
    this.#errors = errors;
    for (const {file, sections} of pages)
      for (const {names} of sections)
        for (const name of names)
          if (name !== '*' && !declarations.exports.has(name))
            this.problems.push(`${file} lists ${name}, which is not exported`);
    for (const page of pages) this.page(page);
    for (const name of declarations.exports.keys())
      if (!this.#places.has(name)) this.problems.push(`${name} has no place in pages.mjs`);
    this.problems = [...new Set(this.problems)];
  }

  /** A heading, and where `names` are found from now on. @param {string} level @param {string} title @param {string[]} names */
  #heading(level, title, names = []) {
    const anchor = title
      .toLowerCase()
      .replace(/[^\w\- ]/g, '')
      .replaceAll(' ', '-');
    const before = this.#anchors.get(anchor) ?? 0;
    this.#anchors.set(anchor, before + 1);
    for (const name of names)
      this.#places.set(name, `${this.#file}#${anchor}${before > 0 ? `-${before}` : ''}`);
    return `${level} ${/[[(]/.test(title) ? `\`${title}\`` : title}`; // [a]() would be a link
  }

  /** '*' is the classes of the types, which share a table. @param {string} name */
  expand(name) {
    return name === '*'
      ? [...this.#declarations.exports.keys()].filter(each => this.#isTypeClass(each)).sort()
      : [name];
  }

  /** @param {string} name */
  #isTypeClass(name) {
    const [node] = this.#declarations.of(name);
    return (
      node !== undefined &&
      name !== 'Struct' &&
      ts.isClassDeclaration(node) &&
      this.#declarations.isType(node)
    );
  }

  /** @param {string} name */
  #title(name) {
    const [node] = this.#declarations.of(name);
    return node && ts.isFunctionDeclaration(node) ? heading(name, node) : name;
  }

  /** @param {Page} page */
  page({file, title, intro, sections}) {
    this.#file = file;
    this.#anchors.clear();
    const parts = [this.#heading('#', title), intro, '[All names](README.md)'];
    for (const section of sections) {
      parts.push(this.#heading('##', section.title));
      for (const name of section.names)
        parts.push(...(name === '*' ? this.#typeClasses() : this.#entry(name)));
    }
    return `<!-- made by npm run docs; edit the comments in packages/state-store/src -->\n${parts.join('\n\n')}\n`;
  }

  /** The place of a name as seen from another page. @param {string} name */
  link(name, file = this.#file) {
    const place = this.#places.get(name) ?? '';
    return `[\`${name}\`](${place.startsWith(`${file}#`) ? place.slice(file.length) : place})`;
  }

  /** The headings of a class's methods, for the index. @param {string} name */
  methods(name) {
    const [node] = this.#declarations.of(name);
    if (node === undefined || !ts.isClassDeclaration(node)) return [];
    const receiver = instances.get(name);
    const members = this.#declarations.members(node).filter(member => callable(member));
    return [
      ...new Set(members.map(member => heading(`${receiver}${memberName(member)}`, callable(member)))),
    ].map(title => `[\`${title}\`](${this.#places.get(title)})`);
  }

  /** @param {string} name */
  summary(name) {
    const [node] = this.#declarations.of(name);
    return node === undefined ? '' : this.#inline(/^[\s\S]*?\.(?=\s|$)/.exec(comment(node).text)?.[0] ?? '');
  }

  /** @param {string} name @returns {string[]} */
  #entry(name) {
    const [node] = this.#declarations.of(name);
    if (node === undefined) return [];
    const title = this.#heading('###', this.#title(name), [name]);
    if (ts.isFunctionDeclaration(node)) return [title, ...this.#signature(name, [node])];
    if (ts.isVariableDeclaration(node))
      return [title, ...this.#prose(name, node), ...this.#object(name, node)];
    if (ts.isTypeAliasDeclaration(node)) {
      const codes = name === 'StoreErrorCode' ? this.#codes() : [];
      const code = codes.length > 0 ? [] : [block(source(node).replace(/^export (declare )?/, ''))];
      return [title, ...code, ...this.#prose(name, node), ...codes, ...this.#types(name, node)];
    }
    if (!ts.isClassDeclaration(node) && !ts.isInterfaceDeclaration(node))
      throw new Error(`${name}: of what kind?`);
    const members = this.#declarations.members(node);
    const heritage = node.heritageClauses?.map(each => ` ${each.getText()}`).join('') ?? '';
    const parameters = node.typeParameters?.map(each => each.getText()).join(', ');
    const kind = ts.isClassDeclaration(node) ? 'class' : 'interface';
    const parts = [
      title,
      block(`${kind} ${name}${parameters ? `<${parameters}>` : ''}${heritage}`),
      ...this.#prose(name, node),
    ];
    const plain = members.filter(member => !callable(member));
    if (plain.length > 0) parts.push(this.#table(name, plain));
    /** @type {Map<string, Callable[]>} */
    const overloads = new Map();
    for (const member of members) {
      const call = callable(member);
      if (call === undefined) continue;
      const title = heading(`${instances.get(name) ?? name}${memberName(member)}`, call);
      overloads.set(title, [...(overloads.get(title) ?? []), call]);
    }
    for (const [title, calls] of overloads)
      parts.push(this.#heading('####', title, [title]), ...this.#signature(name, calls));
    return parts;
  }

  /** The members of `t`: those that are values in a table, those that are called each by itself.
   * @param {string} name @param {ts.VariableDeclaration} node */
  #object(name, node) {
    if (node.type === undefined || !ts.isTypeLiteralNode(node.type))
      throw new Error(`${name}: expected an object`);
    const members = [...node.type.members];
    const parts = [
      this.#table(
        name,
        members.filter(member => !callable(member) && !overloaded(member)),
      ),
    ];
    for (const member of members) {
      const query = overloaded(member);
      const calls = query
        ? this.#declarations.overloads(query)
        : [callable(member)].filter(each => each !== undefined);
      for (const call of calls)
        parts.push(
          this.#heading('####', heading(`${name}${memberName(member)}`, call)),
          ...this.#signature(name, [call]),
        );
    }
    return parts;
  }

  /** @param {string} owner @param {Callable[]} calls */
  #signature(owner, calls) {
    const code = block(calls.map(call => signature(call)).join('\n'));
    const [call] = calls;
    if (call === undefined) return [];
    const node = ts.isFunctionTypeNode(call) ? call.parent : call;
    return [code, ...this.#prose(owner, node), ...this.#types(owner, call)];
  }

  /** @param {string} owner @param {ts.Node[]} members */
  #table(owner, members) {
    const rows = members.map(member => {
      if (!ts.isPropertyDeclaration(member) && !ts.isPropertySignature(member) && !ts.isGetAccessor(member))
        throw new Error(`${owner}: ${member.getText()} is of no known kind`);
      const optional = !ts.isGetAccessor(member) && member.questionToken ? '?' : '';
      const told = comment(member);
      const name = member.name.getText();
      if (told.text === '') this.#hole(owner, member);
      const throws = told.throws ? ` Throws ${this.#codesLinked(told.throws)}.` : '';
      const type = member.type?.getText().replace(/\s+/g, ' ') ?? '';
      const names = member.type ? this.#declarations.named(member.type).filter(each => each !== owner) : [];
      const shown = names.includes(type) ? this.link(type) : `\`${cell(type)}\``;
      return `| \`${name}${optional}\` | ${shown} | ${cell(this.#inline(told.text))}${throws} |`;
    });
    return ['| | Type | |', '|---|---|---|', ...rows].join('\n');
  }

  #typeClasses() {
    const title = this.#heading('###', 'Classes', this.expand('*'));
    const rows = this.expand('*').map(name => {
      const [node] = this.#declarations.of(name);
      if (node === undefined || !ts.isClassDeclaration(node)) return '';
      const parameters = node.typeParameters?.map(each => each.getText()).join(', ');
      const {text} = comment(node);
      if (text === '') this.#hole(name, node);
      const base = node.heritageClauses?.[0]?.types[0];
      const exported = base !== undefined && this.#declarations.exports.has(base.expression.getText());
      const extended = `${exported ? base.expression.getText() : 'Type'}<${base?.typeArguments?.map(each => each.getText()).join(', ')}>`;
      return `| \`${name}${parameters ? `<${parameters}>` : ''}\` | \`${cell(extended)}\` | ${cell(this.#inline(text))} |`;
    });
    const intro =
      'What `t` makes, by class: the names with which a declaration file spells the type of an exported schema. None of them ' +
      'is made by hand. Beside the values that [`Type`](#type) carries, this is where their bytes are told.';
    return [title, intro, ['| Class | Extends | In its record |', '|---|---|---|', ...rows].join('\n')];
  }

  #codes() {
    return [
      [
        '| Code | When |',
        '|---|---|',
        ...this.#errors.map(({code, when}) => `| \`${code}\` | ${when} |`),
      ].join('\n'),
    ];
  }

  /** @param {string} owner @param {ts.Node} node */
  #prose(owner, node) {
    const {text, params, typeParams, returns, throws, examples} = comment(node);
    if (text === '') this.#hole(owner, node);
    const parts = [this.#linked(text)];
    const list = [
      ...[...typeParams, ...params].map(each => `- \`${each.name}\`: ${this.#inline(each.text)}`),
      ...(returns ? [`- Returns ${this.#inline(returns)}`] : []),
    ];
    if (list.length > 0) parts.push(list.join('\n'));
    if (throws) {
      const cases = throws.split(/;\s+(?=ERR_)/).map(each => this.#codesLinked(this.#inline(each)));
      parts.push(
        cases.length === 1 ? `Throws ${cases[0]}.` : `Throws\n${cases.map(each => `- ${each}`).join('\n')}`,
      );
    }
    for (const example of examples) parts.push(block(example));
    return parts;
  }

  /** @param {string} owner @param {ts.Node} node */
  #types(owner, node) {
    const names = this.#declarations.named(node).filter(name => name !== owner);
    return names.length === 0 ? [] : [`<sub>${names.map(name => this.link(name)).join(' · ')}</sub>`];
  }

  /** @param {string} owner @param {ts.Node} node */
  #hole(owner, node) {
    this.problems.push(`${owner}: no comment at ${node.getText().replace(/\s+/g, ' ').slice(0, 80)}`);
  }

  /** @param {string} text */
  #codesLinked(text) {
    const page = this.#file === 'store.md' ? '' : 'store.md';
    return text.replace(/ERR_[A-Z_]+/g, code => {
      if (!this.#errors.some(each => each.code === code)) this.problems.push(`there is no ${code}`);
      return `[\`${code}\`](${page}#storeerrorcode)`;
    });
  }

  /** @param {string} text */
  #linked(text) {
    return text.replace(/\{@link (\w+)\}/g, (_, name) => this.link(name));
  }

  /** @param {string} text */
  #inline(text) {
    return this.#linked(text).replace(/\s+/g, ' ').trim();
  }
}
