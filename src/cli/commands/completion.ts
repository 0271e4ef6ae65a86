import { SluiceError } from '../../model/errors.ts';
import type { CommandGroup, CommandSpec } from '../command-spec.ts';

/** What may follow the words of a command line that lead to a command. */
interface Stage {
  readonly path: readonly string[];
  readonly words: readonly { readonly word: string; readonly doc: string }[];
}

const SHELLS: Readonly<Record<string, (stages: readonly Stage[]) => string>> = { bash, zsh, fish };

const EVERYWHERE = ['--master', '--user', '--config', '--set', '--json', '--help'].map((word) => ({ word, doc: '' }));

/** `sluice completion`: prints a script for a shell, made from the commands themselves. */
export function completionCommand(commands: () => readonly (CommandSpec | CommandGroup)[]): CommandSpec {
  return {
    name: 'completion',
    summary: 'print a script that completes commands in a shell',
    arguments: [['<shell>', Object.keys(SHELLS).join(', ')]],
    examples: ['source <(sluice completion bash)', 'sluice completion fish > ~/.config/fish/completions/sluice.fish'],
    async run(context, [shell = '']) {
      const write = Object.hasOwn(SHELLS, shell) ? SHELLS[shell] : undefined;
      if (write === undefined) {
        const known = Object.keys(SHELLS).join(', ');
        throw new SluiceError('INVALID_ARGUMENT', `There is no completion for ${shell}: choose one of ${known}`);
      }
      await context.out.write(write(stagesOf([], commands())));
      return 0;
    },
  };
}

function stagesOf(path: readonly string[], entries: readonly (CommandSpec | CommandGroup)[]): Stage[] {
  const here = { path, words: entries.map(({ name, summary }) => ({ word: name, doc: summary })) };
  const below = entries.flatMap((entry): Stage[] => {
    const next = [...path, entry.name];
    if ('commands' in entry) return stagesOf(next, entry.commands);
    return [{ path: next, words: (entry.options ?? []).flatMap(([flags, doc]) => flagWords(flags, doc)) }];
  });
  return [here, ...below];
}

/** The words of `-l, --long <value>`. */
function flagWords(flags: string, doc: string): { readonly word: string; readonly doc: string }[] {
  return flags.split(/[ ,]+/).flatMap((word) => (word.startsWith('-') ? [{ word, doc }] : []));
}

function bash(stages: readonly Stage[]): string {
  const paths = stages.flatMap(({ path }) => (path.length === 0 ? [] : [`" ${path.join(' ')}"`]));
  const cases = stages.map(({ path, words }) => {
    const all = [...words, ...EVERYWHERE].map(({ word }) => word).join(' ');
    return `    "${path.map((word) => ` ${word}`).join('')}") words="${all}" ;;\n`;
  });
  return `_sluice() {
  local current="\${COMP_WORDS[COMP_CWORD]}" path="" word words=""
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$path $word" in
      ${paths.join('|')}) path="$path $word" ;;
    esac
  done
  case "$path" in
${cases.join('')}  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _sluice sluice
`;
}

function zsh(stages: readonly Stage[]): string {
  const paths = stages.flatMap(({ path }) => (path.length === 0 ? [] : [`" ${path.join(' ')}"`]));
  const cases = stages.map(({ path, words }) => {
    const all = [...words, ...EVERYWHERE].map(({ word, doc }) => quoted(doc === '' ? word : `${word}:${doc}`));
    return `    "${path.map((word) => ` ${word}`).join('')}") choices=(${all.join(' ')}) ;;\n`;
  });
  return `#compdef sluice
_sluice() {
  local trail="" word
  local -a choices
  for word in "\${(@)words[2,CURRENT-1]}"; do
    case "$trail $word" in
      ${paths.join('|')}) trail="$trail $word" ;;
    esac
  done
  case "$trail" in
${cases.join('')}  esac
  _describe 'sluice' choices || _files
}
compdef _sluice sluice
`;
}

function fish(stages: readonly Stage[]): string {
  const lines = stages.flatMap(({ path, words }) => {
    const here = `__sluice_at ${path.join(' ')}`.trimEnd();
    return words.map(({ word, doc }) => `complete -c sluice -n ${quoted(here)} ${fishWord(word)} -d ${quoted(doc)}`);
  });
  const paths = stages.flatMap(({ path }) => (path.length === 0 ? [] : [quoted(path.join(' '))]));
  const everywhere = EVERYWHERE.map(({ word }) => `complete -c sluice ${fishWord(word)}`);
  return `function __sluice_at
  set -l trail
  for word in (commandline -opc)[2..-1]
    if contains -- (string trim -- "$trail $word") ${paths.join(' ')}
      set trail $trail $word
    end
  end
  test "$trail" = "$argv"
end
${[...lines, ...everywhere].join('\n')}
`;
}

/** A word as fish's \`complete\` wants it. */
function fishWord(word: string): string {
  if (word.startsWith('--')) return `-l ${word.slice(2)}`;
  return word.startsWith('-') ? `-s ${word.slice(1)}` : `-f -a ${word}`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
